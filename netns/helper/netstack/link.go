package netstack

import (
	"fmt"
	"time"

	"gvisor.dev/gvisor/pkg/buffer"
	"gvisor.dev/gvisor/pkg/tcpip"
	"gvisor.dev/gvisor/pkg/tcpip/header"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv4"
	"gvisor.dev/gvisor/pkg/tcpip/network/ipv6"
	"gvisor.dev/gvisor/pkg/tcpip/stack"
	"gvisor.dev/gvisor/pkg/tcpip/transport/tcp"

	"github.com/skiff-containers/skiff/netns/helper/tun"
)

const (
	nic = 1
	// timeWait is short: nothing gets lost or overtaken between here and a container.
	timeWait = time.Millisecond
	// maxSegment is how much the stack hands over at once; the kernel segments it.
	maxSegment = 65535
)

// makeStack makes a stack that takes every address for its own.
func (p *Path) makeStack() error {
	s := stack.New(stack.Options{
		NetworkProtocols:   []stack.NetworkProtocolFactory{ipv4.NewProtocol, ipv6.NewProtocol},
		TransportProtocols: []stack.TransportProtocolFactory{tcp.NewProtocol},
	})
	p.link = &link{device: p.cfg.Device}
	var (
		sack      = tcpip.TCPSACKEnabled(true)
		wait      = tcpip.TCPTimeWaitTimeoutOption(timeWait)
		retries   = tcpip.TCPSynRetriesOption(4)
		recovery  = tcpip.TCPRecovery(0) // without RACK: nothing is reordered here, and its timers cost
		buffers   = tcpip.TCPSendBufferSizeRangeOption{Min: 4096, Default: maxBuffer, Max: maxBuffer}
		receiving = tcpip.TCPReceiveBufferSizeRangeOption{Min: 4096, Default: maxBuffer, Max: maxBuffer}
	)
	for _, option := range []tcpip.SettableTransportProtocolOption{&sack, &wait, &retries, &recovery, &buffers, &receiving} {
		if err := s.SetTransportProtocolOption(tcp.ProtocolNumber, option); err != nil {
			return fmt.Errorf("setting up netstack: %v", err)
		}
	}
	for _, err := range []tcpip.Error{s.CreateNIC(nic, p.link), s.SetPromiscuousMode(nic, true), s.SetSpoofing(nic, true)} {
		if err != nil {
			return fmt.Errorf("setting up netstack: %v", err)
		}
	}
	s.SetRouteTable([]tcpip.Route{{Destination: header.IPv4EmptySubnet, NIC: nic}, {Destination: header.IPv6EmptySubnet, NIC: nic}})
	// What may be in flight is bounded where connections enter.
	s.SetTransportProtocolHandler(tcp.ProtocolNumber, tcp.NewForwarder(s, 0, maxFlows, p.accept).HandlePacket)
	p.stack = s
	return nil
}

// link is the device as the stack sees it.
//
// It does not claim to compute checksums: with that the stack leaves those of SYN-ACKs
// at zero, which are sent before segmentation offload is in force. Data carries
// its own wish for a checksum, together with that for segmentation. It does claim that
// what comes has been verified: most has no checksum yet, the rest is looked at in Handle.
type link struct {
	device     *tun.Device
	dispatcher stack.NetworkDispatcher // set once, before anything is injected
}

// inject shows the stack a packet from the container, with nothing wrong with its checksum.
func (l *link) inject(packet []byte) {
	if l.dispatcher == nil {
		return
	}
	proto := header.IPv4ProtocolNumber
	if packet[0]>>4 == 6 {
		proto = header.IPv6ProtocolNumber
	}
	b := stack.NewPacketBuffer(stack.PacketBufferOptions{Payload: buffer.MakeWithData(packet)})
	l.dispatcher.DeliverNetworkPacket(proto, b)
	b.DecRef()
}

// WritePackets implements stack.LinkWriter.
func (l *link) WritePackets(packets stack.PacketBufferList) (int, tcpip.Error) {
	for i, b := range packets.AsSlice() {
		if err := l.device.WriteVector(offload(b), b.AsSlices()); err != nil {
			return i, &tcpip.ErrNoBufferSpace{}
		}
	}
	return packets.Len(), nil
}

func offload(b *stack.PacketBuffer) tun.Offload {
	g := &b.GSOOptions
	if g.Type == stack.GSONone {
		return tun.Offload{}
	}
	o := tun.Offload{NeedsChecksum: g.NeedsCsum, ChecksumStart: g.L3HdrLen, ChecksumOffset: g.CsumOffset}
	if b.Data().Size() > int(g.MSS) {
		o.GSO, o.SegmentSize, o.HeaderLen = tun.GSOTCP4, g.MSS, uint16(b.HeaderSize())
		if g.Type == stack.GSOTCPv6 {
			o.GSO = tun.GSOTCP6
		}
	}
	return o
}

// GSOMaxSize and SupportedGSO implement stack.GSOEndpoint.
func (*link) GSOMaxSize() uint32               { return maxSegment }
func (*link) SupportedGSO() stack.SupportedGSO { return stack.HostGSOSupported }

// The rest implements stack.NetworkLinkEndpoint for a link without addresses.

func (*link) MTU() uint32                      { return tun.MaxMTU }
func (*link) SetMTU(uint32)                    {}
func (*link) MaxHeaderLength() uint16          { return 0 }
func (*link) LinkAddress() tcpip.LinkAddress   { return "" }
func (*link) SetLinkAddress(tcpip.LinkAddress) {}
func (*link) Capabilities() stack.LinkEndpointCapabilities {
	return stack.CapabilityRXChecksumOffload
}
func (l *link) Attach(d stack.NetworkDispatcher) {
	if d != nil { // nil at the end, when packets may still be on their way
		l.dispatcher = d
	}
}
func (l *link) IsAttached() bool                      { return l.dispatcher != nil }
func (*link) Wait()                                   {}
func (*link) ARPHardwareType() header.ARPHardwareType { return header.ARPHardwareNone }
func (*link) AddHeader(*stack.PacketBuffer)           {}
func (*link) ParseHeader(*stack.PacketBuffer) bool    { return true }
func (*link) Close()                                  {}
func (*link) SetOnCloseAction(func())                 {}
