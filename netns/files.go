package netns

import (
	"bytes"
	"errors"
	"os"
	"slices"
	"strings"
)

// loopbackHosts is what every hosts(5) file begins with, as Docker writes it.
const loopbackHosts = `127.0.0.1	localhost
::1	localhost ip6-localhost ip6-loopback
fe00::	ip6-localnet
ff00::	ip6-mcastprefix
ff02::1	ip6-allnodes
ff02::2	ip6-allrouters
`

// Hosts is the content of a container's /etc/hosts: the host's own where the
// network is shared, and in each case the container's name.
func Hosts(m Mode, hostname string) []byte {
	text := []byte(loopbackHosts)
	if m == Host {
		if own, err := os.ReadFile("/etc/hosts"); err == nil {
			text = own
		}
	}
	if hostname == "" || names(text, hostname) {
		return text
	}
	if len(text) > 0 && text[len(text)-1] != '\n' {
		text = append(text, '\n')
	}
	return append(text, "127.0.0.1\t"+hostname+"\n"...)
}

// names tells whether a hosts file has a line for a name.
func names(text []byte, hostname string) bool {
	for line := range bytes.Lines(text) {
		before, _, _ := strings.Cut(string(line), "#")
		if fields := strings.Fields(before); len(fields) > 1 && slices.Contains(fields[1:], hostname) {
			return true
		}
	}
	return false
}

// Resolv is the content of a container's /etc/resolv.conf: the host's, as no
// network has a resolver of its own yet. A host without the file gives an empty one.
func Resolv() ([]byte, error) {
	text, err := os.ReadFile("/etc/resolv.conf")
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	return text, err
}
