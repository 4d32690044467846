//! A board as the peer reads it: through its file, which is slow and shows what the shim writes. It always wants to be rung for, as a node that sleeps.

use rustix::fs::{MemfdFlags, ftruncate, memfd_create};
use sockeye_control::Request;
use sockeye_control::board::{Board, Notice, WORDS, Words};
use std::fs::File;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::AtomicU64;

/// The word that says so.
const RING_AT: u64 = 2 * 8;

pub(super) struct ClientBoard {
    file: File,
    read: u64,
    heard: u64,
}

impl ClientBoard {
    pub(super) fn new() -> ClientBoard {
        let file = memfd_create("board", MemfdFlags::CLOEXEC).unwrap();
        ftruncate(&file, 8 * WORDS as u64).unwrap();
        let board = ClientBoard { file: file.into(), read: 0, heard: 0 };
        board.want_ring();
        board
    }

    pub(super) fn file(&self) -> OwnedFd {
        self.file.try_clone().unwrap().into()
    }

    /// What was written before a message. Whoever wrote something that cannot wait has rung.
    pub(super) fn before(&mut self, message: &Request<'_>) -> Vec<Notice> {
        self.want_ring();
        let notices = self.take();
        let cork = (libc::IPPROTO_TCP, libc::TCP_CORK);
        let waits = |notice: &Notice| Request::TOLD[notice.option as usize] == cork && notice.value != 0;
        assert!(notices.iter().all(waits) || *message == Request::Ring, "nobody rang before {message:?}");
        notices
    }

    /// What was written after a `TellOption`, perhaps before it was read, when somebody had rung already.
    pub(super) fn after_one(&mut self) -> Vec<Notice> {
        self.heard += 1;
        self.take()
    }

    fn take(&mut self) -> Vec<Notice> {
        let mut bytes = vec![0; 8 * WORDS];
        self.file.read_exact_at(&mut bytes, 0).unwrap();
        let words: Vec<AtomicU64> =
            bytes.chunks_exact(8).map(|word| AtomicU64::new(u64::from_ne_bytes(word.try_into().unwrap()))).collect();
        let words: Box<Words> = words.into_boxed_slice().try_into().unwrap();
        let board = Board(&words);
        let mut notices = Vec::new();
        while board.waiting(self.read).unwrap() > 0 && board.read(self.read).after <= self.heard {
            notices.push(board.read(self.read));
            self.read += 1;
        }
        self.file.write_all_at(&self.read.to_ne_bytes(), 8).unwrap();
        notices
    }

    fn want_ring(&self) {
        self.file.write_all_at(&1u64.to_ne_bytes(), RING_AT).unwrap();
    }
}
