package main

import (
	"fmt"
	"io"
	"net"
	"sync/atomic"
	"time"
)

const (
	// What is written and read at a time.
	chunk = 64 << 10
	// What is said on a connection that is only opened and closed.
	message = 64
)

// bulk moves bytes one way, on several connections.
func bulk(h *host, peer *net.TCPAddr, send bool, duration time.Duration, flows int) (*outcome, error) {
	connections := make([]net.Conn, flows)
	for i := range connections {
		var err error
		if connections[i], err = h.dial(peer); err != nil {
			return nil, err
		}
	}
	var count uint64
	var over uint32
	ended := make(chan error, flows)
	start := time.Now()
	for _, connection := range connections {
		go func(connection net.Conn) {
			move, buffer := connection.Read, make([]byte, chunk)
			if send {
				move = connection.Write
			}
			for atomic.LoadUint32(&over) == 0 {
				moved, err := move(buffer)
				if err != nil {
					ended <- err
					return
				}
				atomic.AddUint64(&count, uint64(moved))
			}
		}(connection)
	}
	select {
	case err := <-ended:
		return nil, err
	case <-time.After(duration):
	}
	taken := time.Since(start)
	moved := atomic.LoadUint64(&count)
	atomic.StoreUint32(&over, 1)
	return &outcome{"bytes", moved, taken, nil}, nil
}

// request sends a message and waits for as many bytes, again and again.
func request(h *host, peer *net.TCPAddr, size int, duration time.Duration) (*outcome, error) {
	connection, err := h.dial(peer)
	if err != nil {
		return nil, err
	}
	buffer, taken, count := make([]byte, size), &latency{}, uint64(0)
	start := time.Now()
	now := start
	for now.Sub(start) < duration {
		if _, err := connection.Write(buffer); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(connection, buffer); err != nil {
			return nil, err
		}
		begun := now
		now = time.Now()
		taken.record(now.Sub(begun))
		count++
	}
	return &outcome{"requests", count, now.Sub(start), taken}, nil
}

// connect opens a connection, has a message answered and sees it end, again and again.
func connect(h *host, peer *net.TCPAddr, duration time.Duration) (*outcome, error) {
	buffer, count, start := make([]byte, message), uint64(0), time.Now()
	for time.Since(start) < duration {
		connection, err := h.dial(peer)
		if err != nil {
			return nil, err
		}
		if _, err := connection.Write(buffer); err != nil {
			return nil, err
		}
		if _, err := io.ReadFull(connection, buffer); err != nil {
			return nil, err
		}
		if read, err := connection.Read(buffer); err != io.EOF {
			return nil, fmt.Errorf("%d bytes (%v) where the end was due", read, err)
		}
		if err := connection.Close(); err != nil {
			return nil, err
		}
		count++
	}
	return &outcome{"connections", count, time.Since(start), nil}, nil
}
