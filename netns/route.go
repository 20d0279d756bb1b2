package netns

import (
	"bytes"
	"encoding/hex"
	"math/bits"
	"net/netip"
	"os"
	"strconv"
	"strings"
)

// shortest is the shortest prefix that counts as a route to somewhere: shorter ones
// are default routes, cut in halves as VPNs do.
const shortest = 8

// hostRoutes are the prefixes that the host has routes to, and its name servers:
// what a container in a subnet that overlaps them could not reach. Files that cannot
// be read give none, as nothing depends on it but comfort.
func hostRoutes() []netip.Prefix {
	four, _ := os.ReadFile("/proc/net/route")
	six, _ := os.ReadFile("/proc/net/ipv6_route")
	resolv, _ := os.ReadFile("/etc/resolv.conf")
	return append(append(parseRoutes4(four), parseRoutes6(six)...), nameServers(resolv)...)
}

// parseRoutes4 reads /proc/net/route: addresses and masks are hexadecimal numbers
// in the byte order of the machine.
func parseRoutes4(text []byte) []netip.Prefix {
	var all []netip.Prefix
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 8 {
			continue
		}
		dest, err1 := strconv.ParseUint(fields[1], 16, 32)
		mask, err2 := strconv.ParseUint(fields[7], 16, 32)
		ones := bits.OnesCount32(uint32(mask))
		if err1 != nil || err2 != nil || ones < shortest {
			continue
		}
		addr := netip.AddrFrom4([4]byte{byte(dest), byte(dest >> 8), byte(dest >> 16), byte(dest >> 24)})
		all = append(all, netip.PrefixFrom(addr, ones))
	}
	return all
}

// parseRoutes6 reads /proc/net/ipv6_route. What every interface has, link-local and
// multicast, says nothing.
func parseRoutes6(text []byte) []netip.Prefix {
	var all []netip.Prefix
	for line := range bytes.Lines(text) {
		fields := strings.Fields(string(line))
		if len(fields) < 10 || fields[9] == "lo" {
			continue
		}
		dest, err1 := hex.DecodeString(fields[0])
		length, err2 := strconv.ParseUint(fields[1], 16, 8)
		addr, ok := netip.AddrFromSlice(dest)
		if err1 != nil || err2 != nil || !ok || length < shortest || length > 128 || addr.IsMulticast() || addr.IsLinkLocalUnicast() {
			continue
		}
		all = append(all, netip.PrefixFrom(addr, int(length)))
	}
	return all
}

func nameServers(resolv []byte) []netip.Prefix {
	var all []netip.Prefix
	for line := range bytes.Lines(resolv) {
		fields := strings.Fields(string(line))
		if len(fields) < 2 || fields[0] != "nameserver" {
			continue
		}
		if addr, err := netip.ParseAddr(fields[1]); err == nil && !addr.IsLoopback() && addr.Zone() == "" {
			all = append(all, netip.PrefixFrom(addr, addr.BitLen()))
		}
	}
	return all
}
