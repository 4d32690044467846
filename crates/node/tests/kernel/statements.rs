//! What is said and not answered: by messages, and on a board.

use std::fs::File;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;

use sockeye_control::{Reply, Request, SocketId, What};

use crate::fixture::{Fixture, Socket, receive};

/// SOL_SOCKET and SO_KEEPALIVE; its place in `Request::TOLD`.
const KEEPALIVE: (i32, i32) = (1, 9);
const PLACE: u64 = 1;

fn told(id: SocketId, value: &[u8]) -> Request<'_> {
    Request::TellOption { id, level: KEEPALIVE.0, name: KEEPALIVE.1, value }
}

/// Asked on a connection of its own.
fn value(socket: &Socket<'_>) -> i32 {
    let request = Request::Option { id: socket.id, level: KEEPALIVE.0, name: KEEPALIVE.1, len: 4 };
    socket.ask(request, |reply| match reply {
        Reply::Value(value) => i32::from_ne_bytes(value.try_into().expect("an int")),
        other => panic!("{other:?}"),
    })
}

/// The board of a connection.
fn board(fixture: &Fixture, connection: &OwnedFd) -> File {
    fixture.ask_on(connection, &Request::Board, None, |reply, file| {
        assert_eq!(reply, Reply::Done);
        file.expect("a file").into()
    })
}

/// Writes the notice after the first `written`.
fn write(board: &File, written: u64, id: SocketId, value: u64, after: u64) {
    let number = u128::from_le_bytes(id.0);
    let words = [(number >> 64) as u64, number as u64, PLACE << 32 | value, after];
    for (at, word) in words.into_iter().enumerate() {
        board.write_all_at(&word.to_ne_bytes(), 8 * (4 + 4 * written + at as u64)).expect("written");
    }
    board.write_all_at(&(written + 1).to_ne_bytes(), 0).expect("written");
}

#[test]
fn what_was_said_comes_before_what_is_asked_elsewhere() {
    let Some(mut fixture) = Fixture::new("said") else { return };
    let (socket, connection) = (fixture.socket(1), fixture.connect());
    for turn in 0..100i32 {
        let on = turn % 2;
        fixture.say(&connection, &told(socket.id, &(1 - on).to_ne_bytes()), Some(socket.fd.as_fd()));
        fixture.say(&connection, &told(socket.id, &on.to_ne_bytes()), Some(socket.fd.as_fd()));
        assert_eq!(value(&socket), on);
    }
    // The next one on the same connection is answered by its own answer.
    let mine = Request::Option { id: socket.id, level: 1, name: 3, len: 4 };
    let stream = 1i32.to_ne_bytes();
    fixture.ask_on(&connection, &mine, Some(socket.fd.as_fd()), |reply, _| assert_eq!(reply, Reply::Value(&stream)));
    drop(socket);
    fixture.stop();
}

#[test]
fn a_board_is_read_before_a_question_is_answered_and_in_order_with_messages() {
    let Some(mut fixture) = Fixture::new("board") else { return };
    let (socket, connection) = (fixture.socket(1), fixture.connect());
    let board = board(&fixture, &connection);
    let say = |on: i32| fixture.say(&connection, &told(socket.id, &on.to_ne_bytes()), Some(socket.fd.as_fd()));
    // Said after a message that is sent only then.
    write(&board, 0, socket.id, 1, 1);
    say(0);
    assert_eq!(value(&socket), 1);
    for written in 1..200 {
        write(&board, written, socket.id, written % 2, 1);
        assert_eq!(value(&socket), (written % 2) as i32);
    }
    // Said before a message.
    write(&board, 200, socket.id, 1, 1);
    say(0);
    assert_eq!(value(&socket), 0);
    // The connection goes, and what stands on its board counts.
    write(&board, 201, socket.id, 1, 2);
    drop(connection);
    assert_eq!(value(&socket), 1);
    drop(socket);
    fixture.stop();
}

#[test]
fn nobody_speaks_of_a_socket_that_he_has_not_shown() {
    let Some(mut fixture) = Fixture::new("unshown") else { return };
    let (socket, connection) = (fixture.socket(1), fixture.connect());
    let (mine, on) = (fixture.socket(1), 1i32.to_ne_bytes());
    let board = board(&fixture, &connection);
    fixture.say(&connection, &told(socket.id, &on), None);
    fixture.say(&connection, &told(socket.id, &on), Some(mine.fd.as_fd()));
    fixture.say(&connection, &told(mine.id, &on), Some(mine.fd.as_fd()));
    write(&board, 0, socket.id, 1, 3);
    fixture.say(&connection, &Request::Ring, None);
    assert_eq!((value(&socket), value(&mine)), (0, 1));
    assert_eq!(fixture.number(What::Counters, "statements_refused"), 3);
    drop((socket, mine));
    fixture.stop();
}

#[test]
fn who_lies_on_a_board_is_let_go() {
    let Some(mut fixture) = Fixture::new("liar") else { return };
    let socket = fixture.socket(1);
    // More notices than there is room for; one after a message that does not come.
    let lies: [fn(&File, SocketId); 2] = [
        |board, _| board.write_all_at(&u64::MAX.to_ne_bytes(), 0).expect("written"),
        |board, id| write(board, 0, id, 1, 1),
    ];
    for lie in lies {
        let connection = fixture.connect();
        let board = board(&fixture, &connection);
        assert!(fixture.ask_on(&connection, &Request::Board, None, |reply, _| matches!(reply, Reply::Error { .. })));
        lie(&board, socket.id);
        assert_eq!(value(&socket), 0);
        assert_eq!(receive(&connection, &mut [0; 8]).0, 0);
        // Whatever else stands there.
        for at in 0..64 {
            board.write_all_at(&[0xff; 64], 64 * at).expect("written");
        }
        assert_eq!(value(&socket), 0);
    }
    // As many as there are.
    let connections: Vec<OwnedFd> = (0..65).map(|_| fixture.connect()).collect();
    let given = |connection| fixture.ask_on(connection, &Request::Board, None, |reply, _| reply == Reply::Done);
    assert_eq!(connections.iter().filter(|connection| given(connection)).count(), 64);
    drop((socket, connections));
    fixture.stop();
}
