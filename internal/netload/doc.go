// Package netload loads a network and looks at what arrives: streams, short
// connections, requests and datagrams, each with a payload that the other side checks.
// What is wrong is counted and told, never passed over: a path that now and then gives
// a connection to somebody else looks fast. Its server and its clients also make up one
// static program (netload/netload) that runs inside containers. Nothing of it is shipped.
//
// A TCP connection begins with a header of 16 bytes, a datagram with one of 32; numbers
// are big-endian:
//
//	"NLD1" mode:1 flags:1 0:2 milliseconds:4 size:4             TCP
//	"NLDu" kind:1 0:3 run:8 number:8 crc:4 0:4                  UDP; the CRC-32C is over all of it but itself
package netload
