package main

import (
	"fmt"
	"io"
	"net"
	"runtime"
	"time"

	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
)

const (
	port     = 7000
	idlePort = 7001
	// Idle connections to one port; with another port the client's ports begin anew.
	idleToAPort = 10000
	// The largest packet that is not a super-frame.
	largest = 65535
	// A larger one was slower.
	engineBuffer = 1 << 20
)

// conditions say how the wire is to be; by default as netstack likes it best.
type conditions struct {
	mtu       uint32
	checksums bool
}

// end is one end of a wire in memory: what is written here is delivered there at once, in the goroutine that writes. The
// bytes are not copied: netstack's buffers count their owners.
type end struct {
	conditions
	dispatcher stack.NetworkDispatcher
	other      *end
}

func (e *end) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	for _, packet := range packets.AsSlice() {
		arrived := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: packet.ToBuffer()})
		e.other.dispatcher.DeliverNetworkPacket(packet.NetworkProtocolNumber, arrived)
		arrived.DecRef()
	}
	return packets.Len(), nil
}

func (e *end) Attach(dispatcher stack.NetworkDispatcher) { e.dispatcher = dispatcher }
func (e *end) IsAttached() bool                          { return e.dispatcher != nil }
func (*end) Wait()                                       {}
func (*end) MaxHeaderLength() uint16                     { return 0 }
func (*end) LinkAddress() tcpip.LinkAddress              { return "" }
func (*end) ARPHardwareType() header.ARPHardwareType     { return header.ARPHardwareNone }
func (*end) AddHeader(stack.PacketBufferPtr)             {}
func (e *end) MTU() uint32 {
	if e.mtu == 0 {
		return largest
	}
	return e.mtu
}

func (e *end) Capabilities() stack.LinkEndpointCapabilities {
	if e.checksums {
		return 0
	}
	return stack.CapabilityRXChecksumOffload | stack.CapabilityTXChecksumOffload
}

// engine joins two stacks in memory. One processor is used, as the other engines have one thread.
func engine(c conditions, load string, duration time.Duration, idle int) (*outcome, error) {
	runtime.GOMAXPROCS(1)
	near, far := &end{conditions: c}, &end{conditions: c}
	near.other, far.other = far, near
	mask := net.CIDRMask(24, 32)
	address := net.IPv4(10, 0, 0, 2).To4()
	client, err := newHost(near, net.IPv4(10, 0, 0, 1).To4(), mask, engineBuffer)
	if err != nil {
		return nil, err
	}
	server, err := newHost(far, address, mask, engineBuffer)
	if err != nil {
		return nil, err
	}
	var silent net.Listener
	for i := 0; i < idle; i++ {
		at := &net.TCPAddr{IP: address, Port: idlePort + i/idleToAPort}
		if i%idleToAPort == 0 {
			if silent, err = server.listen(at); err != nil {
				return nil, err
			}
		}
		if _, err := client.dial(at); err != nil {
			return nil, err
		}
		if _, err := silent.Accept(); err != nil {
			return nil, err
		}
	}
	peer := &net.TCPAddr{IP: address, Port: port}
	listener, err := server.listen(peer)
	if err != nil {
		return nil, err
	}
	switch load {
	case "bulk":
		count := make(chan uint64)
		go sink(listener, duration, count)
		sent, err := bulk(client, peer, true, duration, 1)
		if err != nil {
			return nil, err
		}
		sent.count = <-count
		return sent, nil
	case "request":
		go echo(listener)
		return request(client, peer, message, duration)
	case "connect":
		go answer(listener)
		return connect(client, peer, duration)
	}
	return nil, fmt.Errorf("%s: not a load; there are bulk, request and connect", load)
}

// sink reads a connection for a time, and says how much came.
func sink(listener net.Listener, duration time.Duration, count chan<- uint64) {
	connection, err := listener.Accept()
	if err != nil {
		fail(err)
	}
	buffer, sum, start := make([]byte, chunk), uint64(0), time.Now()
	for time.Since(start) < duration {
		read, err := connection.Read(buffer)
		if err != nil {
			fail(err)
		}
		sum += uint64(read)
	}
	count <- sum
	if _, err := io.Copy(io.Discard, connection); err != nil {
		fail(err)
	}
}

// echo sends back what comes on a connection.
func echo(listener net.Listener) {
	connection, err := listener.Accept()
	if err != nil {
		fail(err)
	}
	buffer := make([]byte, chunk)
	for {
		read, err := connection.Read(buffer)
		if err == nil {
			_, err = connection.Write(buffer[:read])
		}
		if err != nil {
			fail(err)
		}
	}
}

// answer serves a message to one connection after the other.
func answer(listener net.Listener) {
	buffer := make([]byte, message)
	for {
		connection, err := listener.Accept()
		if err == nil {
			_, err = io.ReadFull(connection, buffer)
		}
		if err == nil {
			_, err = connection.Write(buffer)
		}
		if err == nil {
			err = connection.Close()
		}
		if err != nil {
			fail(err)
		}
	}
}
