// Package helper is the network helper: one process per user and store, root of the
// user namespace U, in the host's network, with threads in N, the network namespace
// that all of the user's networks lie in.
//
//	container ─veth─ bridge ┐                             ┌ tcp   admitted, dialled, spliced (or netstack)
//	container ─veth─ bridge ┼─ N's kernel ─ TUN "skiff0" ─┼ udp   a socket of the host's per flow
//	                        └─ dns on each gateway        └ icmp  echo by ping sockets
//	host's ports ─ ports ─ sockets made in N ─ container
//
// Its parts, each a package:
//
//	space     network namespaces and threads in them
//	member    which container has an address, and what it may reach
//	link      bridges, veth pairs, macvlan and vxlan in N, addresses and routes in containers
//	firewall  nftables in N: who may send what where, and the admission to the kernel path
//	overlay   the frames of overlay networks, between hosts
//	tun       the device "skiff0", by which N sends out what is for the world
//	tcp       the kernel path
//	netstack  what stands in for tcp where the kernel path cannot be had
//	udp, icmp plain packets
//	dns       the name server on each gateway
//	ports     published ports
//	listen    the host's sockets of published ports, and in words why one cannot be had
//	relay     threads that join pairs of TCP sockets, for tcp and for ports
//	sock      the system calls of connections
//	pages     memory for packets
//	driver    pasta and slirp4netns, where they are installed
package helper
