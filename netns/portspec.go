package netns

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// ParsePublish reads values of --publish: [ip:][hostPort[-hostPort]:]port[-port][/protocol],
// IPv6 addresses with or without brackets, and Docker's long form
// published=…,target=…,protocol=…. A range of host ports for one of the container's
// means any free one of it. The same port twice is one. Errors are in Docker's words.
func ParsePublish(specs []string) ([]store.Port, error) {
	var all []store.Port
	seen := map[store.Port]bool{}
	for _, spec := range specs {
		ports, err := parsePublish(spec)
		if err != nil {
			return nil, err
		}
		for _, p := range ports {
			if p.HostPort != 0 && seen[p] {
				continue
			}
			seen[p] = true
			all = append(all, p)
		}
	}
	return all, nil
}

func parsePublish(spec string) ([]store.Port, error) {
	short, err := shortForm(spec)
	if err != nil {
		return nil, err
	}
	host, container, protocol, err := cutSpec(short)
	if err != nil {
		return nil, err
	}
	ip, hostPorts := "", ""
	if i := strings.LastIndexByte(host, ':'); i >= 0 {
		if ip, err = parseHostIP(host[:i]); err != nil {
			return nil, err
		}
		hostPorts = host[i+1:]
	} else {
		hostPorts = host
	}
	first, last, err := parseRange(container)
	if err != nil || first == 0 {
		return nil, fmt.Errorf("invalid containerPort: %s", container)
	}
	var hostFirst, hostLast int
	if hostPorts != "" {
		if hostFirst, hostLast, err = parseRange(hostPorts); err != nil || hostFirst == 0 && hostLast != 0 {
			return nil, fmt.Errorf("invalid hostPort: %s", hostPorts)
		}
	}
	if hostPorts != "" && last != first && last-first != hostLast-hostFirst && hostLast != 0 {
		return nil, fmt.Errorf("invalid ranges specified for container and host Ports: %s and %s", container, hostPorts)
	}
	if protocol == "sctp" {
		return nil, &userns.HostError{
			What: fmt.Sprintf("publishing port %s: sctp ports cannot be published, as connections are carried by TCP and UDP sockets of the host", spec),
			Hint: "containers of one network reach each other's sctp ports without publishing",
		}
	}
	var ports []store.Port
	for i := 0; first+i <= last; i++ {
		p := store.Port{HostIP: ip, ContainerPort: uint16(first + i), Protocol: protocol}
		switch {
		case hostFirst == 0:
		case first == last && hostFirst != hostLast:
			p.HostPort, p.HostPortEnd = uint16(hostFirst), uint16(hostLast)
		default:
			p.HostPort = uint16(hostFirst + i)
		}
		ports = append(ports, p)
	}
	return ports, nil
}

// cutSpec takes the protocol and the container's ports off the end of a spec.
func cutSpec(spec string) (host, container, protocol string, err error) {
	container = spec
	if i := strings.LastIndexByte(spec, ':'); i >= 0 {
		host, container = spec[:i], spec[i+1:]
	}
	container, protocol, err = cutProtocol(container)
	if err == nil && container == "" {
		err = fmt.Errorf("no port specified: %s<empty>", spec)
	}
	return host, container, protocol, err
}

func cutProtocol(text string) (ports, protocol string, err error) {
	ports, protocol, _ = strings.Cut(text, "/")
	switch protocol = strings.ToLower(protocol); protocol {
	case "":
		return ports, "tcp", nil
	case "tcp", "udp", "sctp":
		return ports, protocol, nil
	}
	if ports == "" {
		return "", "", nil
	}
	return "", "", fmt.Errorf("invalid proto: %s", protocol)
}

func parseHostIP(text string) (string, error) {
	bare := text
	if strings.HasPrefix(text, "[") {
		if !strings.HasSuffix(text, "]") {
			return "", fmt.Errorf("invalid IP address %s: address %s:: missing ']' in address", text, text)
		}
		bare = text[1 : len(text)-1]
	}
	if bare == "" {
		return "", nil
	}
	addr, err := netip.ParseAddr(bare)
	if err != nil || addr.Zone() != "" {
		return "", fmt.Errorf("invalid IP address: %s", bare)
	}
	return addr.Unmap().String(), nil
}

// shortForm turns published=8080,target=80,protocol=udp into 8080:80/udp.
func shortForm(spec string) (string, error) {
	if !strings.Contains(spec, "=") {
		return spec, nil
	}
	published, target, protocol := "", "", "tcp"
	for field := range strings.SplitSeq(spec, ",") {
		key, value, found := strings.Cut(field, "=")
		if !found || value == "" {
			return "", fmt.Errorf("invalid publish opts format (should be name=value but got '%s')", field)
		}
		switch key {
		case "published":
			published = value
		case "target":
			target = value
		case "protocol":
			protocol = value
		case "mode":
			if value != "host" && value != "ingress" {
				return "", fmt.Errorf("invalid publish mode (%s): must be either 'ingress' or 'host'", value)
			}
		default:
			return "", fmt.Errorf("invalid field key %s in publish opts", key)
		}
	}
	return published + ":" + target + "/" + protocol, nil
}

// parseRange reads "80" or "80-90".
func parseRange(text string) (first, last int, err error) {
	if text == "" {
		return 0, 0, errors.New("empty string specified for ports")
	}
	from, to, isRange := strings.Cut(text, "-")
	if first, err = parsePort(from); err != nil || !isRange {
		return first, first, err
	}
	if last, err = parsePort(to); err != nil {
		return 0, 0, err
	}
	if last < first {
		return 0, 0, fmt.Errorf("invalid range specified for port: %s", text)
	}
	return first, last, nil
}

func parsePort(text string) (int, error) {
	n, err := strconv.ParseUint(text, 10, 16)
	return int(n), err
}

// ParseExpose reads values of --expose: port[-port][/protocol]. The keys are Docker's: "80/tcp".
func ParseExpose(specs []string) (map[string]struct{}, error) {
	exposed := map[string]struct{}{}
	for _, spec := range specs {
		if strings.Contains(spec, ":") {
			return nil, fmt.Errorf("invalid port format for --expose: %s", spec)
		}
		text, protocol, err := cutProtocol(spec)
		if err != nil {
			return nil, err
		}
		first, last, err := parseRange(text)
		if err == nil && first == 0 {
			err = errors.New("0 is no port")
		}
		if err != nil {
			return nil, fmt.Errorf("invalid range format for --expose: %s, error: %w", spec, err)
		}
		for port := first; port <= last; port++ {
			exposed[PortKey(uint16(port), protocol)] = struct{}{}
		}
	}
	return exposed, nil
}

// PortKey is a container's port as Docker's JSON has it: "80/tcp".
func PortKey(port uint16, protocol string) string {
	return strconv.Itoa(int(port)) + "/" + protocol
}

// ParsePortKey reads a container's port, such as a key of Config.ExposedPorts or an
// argument of `port`: "80/tcp", or "80" for TCP.
func ParsePortKey(text string) (port uint16, protocol string, err error) {
	number, protocol, err := cutProtocol(text)
	if err != nil {
		return 0, "", err
	}
	n, err := parsePort(number)
	if err != nil || n == 0 {
		return 0, "", fmt.Errorf("invalid port: %q", text)
	}
	return uint16(n), protocol, nil
}
