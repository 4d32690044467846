package main

import (
	"fmt"
	"net"

	"golang.org/x/sys/unix"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/adapters/gonet"
	"gvisor.dev/gvisor/pkg/tcpip/link/fdbased"
	"gvisor.dev/gvisor/pkg/tcpip/network/arp"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"
	"gvisor.dev/gvisor/pkg/waiter"
)

const (
	nic = 1
	// What a connection may hold, each way: as much as the kernel's and Sockeye's.
	bufferSize = 4 << 20
	// The largest segment that is handed to a link whole.
	gsoMaxSize = 65536
)

// host is a stack with one interface.
type host struct {
	stack *stack.Stack
}

func newHost(link stack.LinkEndpoint, ip net.IP, mask net.IPMask, buffer int) (*host, error) {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, arp.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	sack := tcpip.TCPSACKEnabled(true)
	send := tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: buffer, Max: 2 * buffer}
	receive := tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: buffer, Max: 2 * buffer}
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &send, &receive} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return nil, fmt.Errorf("%T: %s", option, err)
		}
	}
	if err := s.CreateNIC(nic, link); err != nil {
		return nil, fmt.Errorf("an interface: %s", err)
	}
	length, _ := mask.Size()
	address := tcpip.ProtocolAddress{
		Protocol:          ipv4.ProtocolNumber,
		AddressWithPrefix: tcpip.AddressWithPrefix{Address: tcpip.Address(ip), PrefixLen: length},
	}
	if err := s.AddProtocolAddress(nic, address, stack.AddressProperties{}); err != nil {
		return nil, fmt.Errorf("%s: %s", ip, err)
	}
	s.SetRouteTable([]tcpip.Route{{Destination: address.AddressWithPrefix.Subnet(), NIC: nic}})
	return &host{s}, nil
}

// onInterface is a host on a packet socket, with super-frames both ways. The device computes their checksums; those of
// smaller segments netstack computes itself, as this version's packet socket has no word for leaving them.
func onInterface(name string, ip net.IP, mask net.IPMask) (*host, error) {
	device, err := net.InterfaceByName(name)
	if err != nil {
		return nil, err
	}
	fd, err := unix.Socket(unix.AF_PACKET, unix.SOCK_RAW, 0)
	if err != nil {
		return nil, fmt.Errorf("a packet socket: %w", err)
	}
	const packetIgnoreOutgoing = 23
	for option, value := range map[int]int{unix.PACKET_VNET_HDR: 1, packetIgnoreOutgoing: 1} {
		if err := unix.SetsockoptInt(fd, unix.SOL_PACKET, option, value); err != nil {
			return nil, fmt.Errorf("a packet socket: %w", err)
		}
	}
	for _, option := range []int{unix.SO_SNDBUFFORCE, unix.SO_RCVBUFFORCE} {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, option, bufferSize); err != nil {
			return nil, fmt.Errorf("a packet socket: %w", err)
		}
	}
	all := uint16(unix.ETH_P_ALL)
	address := unix.SockaddrLinklayer{Protocol: all<<8 | all>>8, Ifindex: device.Index}
	if err := unix.Bind(fd, &address); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	member := unix.PacketMreq{Ifindex: int32(device.Index), Type: unix.PACKET_MR_PROMISC}
	if err := unix.SetsockoptPacketMreq(fd, unix.SOL_PACKET, unix.PACKET_ADD_MEMBERSHIP, &member); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	link, err := fdbased.New(&fdbased.Options{
		FDs:                []int{fd},
		MTU:                uint32(device.MTU),
		EthernetHeader:     true,
		Address:            tcpip.LinkAddress([]byte{2, 0x67, ip[0], ip[1], ip[2], ip[3]}),
		PacketDispatchMode: fdbased.RecvMMsg,
		GSOMaxSize:         gsoMaxSize,
		RXChecksumOffload:  true,
	})
	if err != nil {
		return nil, err
	}
	return newHost(link, ip, mask, bufferSize)
}

func full(address *net.TCPAddr) tcpip.FullAddress {
	return tcpip.FullAddress{NIC: nic, Addr: tcpip.Address(address.IP.To4()), Port: uint16(address.Port)}
}

func (h *host) dial(peer *net.TCPAddr) (net.Conn, error) {
	connection, err := gonet.DialTCP(h.stack, full(peer), ipv4.ProtocolNumber)
	if err != nil {
		return nil, err
	}
	return connection, nil
}

// close ends what is still open with a RST, as nobody will answer for us when the program has ended.
func (h *host) close() {
	for _, endpoint := range h.stack.RegisteredEndpoints() {
		endpoint.Abort()
	}
}

func (h *host) listen(at *net.TCPAddr) (net.Listener, error) {
	var queue waiter.Queue
	endpoint, err := h.stack.NewEndpoint(tcp.ProtocolNumber, ipv4.ProtocolNumber, &queue)
	if err != nil {
		return nil, fmt.Errorf("%s", err)
	}
	if err := endpoint.Bind(full(at)); err != nil {
		return nil, fmt.Errorf("%s: %s", at, err)
	}
	if err := endpoint.Listen(128); err != nil {
		return nil, fmt.Errorf("%s: %s", at, err)
	}
	return gonet.NewTCPListener(h.stack, &queue, endpoint), nil
}
