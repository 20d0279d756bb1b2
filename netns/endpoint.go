package netns

import (
	"encoding/csv"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// The options of an endpoint that skiff knows (--driver-opt).
const (
	// OptionInterface names the interface in the container.
	OptionInterface = "com.docker.network.endpoint.ifname"
	// OptionSysctls are net.*.IFNAME.* parameters of the interface, with commas between.
	OptionSysctls = "com.docker.network.endpoint.sysctls"
	// OptionHostLoopback lets host.docker.internal lead to the host's loopback services.
	OptionHostLoopback = "host_loopback"
)

// splitNames parts "a,b", podman's way to ask for several networks; what has
// options or is of a kind with a colon is one.
func splitNames(text string) []string {
	if strings.ContainsAny(text, ":=") || !strings.Contains(text, ",") {
		return []string{text}
	}
	return strings.Split(text, ",")
}

// parseNetwork reads one --network: a mode, Docker's name=…,ip=…, or podman's
// network:ip=…. The endpoint is nil where the mode is none of a network.
func parseNetwork(text string) (Mode, *store.EndpointConfig, error) {
	kind, rest := Mode(text).kind()
	switch {
	case kind == kindContainer && rest == "":
		return "", nil, errors.New("invalid container format container:<name|id>")
	case kind == kindPath && !filepath.IsAbs(rest):
		return "", nil, fmt.Errorf("invalid network %q: ns: takes the absolute path of a network namespace", text)
	case kind != "":
		return Mode(text), nil, nil
	}
	name, fields := text, []string(nil)
	if colon, equals := strings.IndexByte(text, ':'), strings.IndexByte(text, '='); equals >= 0 {
		list := text
		if long := colon < 0 || equals < colon; long {
			name = ""
		} else {
			name, list = text[:colon], text[colon+1:]
		}
		var err error
		if fields, err = csv.NewReader(strings.NewReader(list)).Read(); err != nil {
			return "", nil, fmt.Errorf("parsing network %q: %w", text, err)
		}
	}
	e := &store.EndpointConfig{}
	for _, field := range fields {
		key, value, found := strings.Cut(field, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		switch {
		case !found || key == "" || value == "":
			return "", nil, fmt.Errorf("invalid field %q of network %q", field, text)
		case key == "name" && name == "":
			name = value
		default:
			if err := setEndpoint(e, key, value); err != nil {
				return "", nil, err
			}
		}
	}
	if name == "" {
		return "", nil, errors.New("network name/id is not specified")
	}
	mode, err := modeOf(name)
	if err != nil {
		return "", nil, err
	}
	if !mode.Networks() {
		if len(fields) > 0 {
			return "", nil, fmt.Errorf("network %q takes no options", mode)
		}
		return mode, nil, nil
	}
	e.Network = string(mode)
	return mode, e, nil
}

// modeOf reads the plain name of a network or mode.
func modeOf(name string) (Mode, error) {
	switch name {
	case "default", "private": // Docker's and podman's words for it
		return Default, nil
	case "container":
		return "", errors.New("invalid container format container:<name|id>")
	}
	if kind, _ := Mode(name).kind(); kind != "" {
		mode, _, err := parseNetwork(name)
		return mode, err
	}
	if !store.ValidName(name) {
		return "", fmt.Errorf("invalid network name %q: letters, digits, '_', '.' and '-', a letter or digit first", name)
	}
	return Mode(name), nil
}

// setEndpoint sets what one option of a network asks: those of Docker's long form
// and those of podman's short one.
func setEndpoint(e *store.EndpointConfig, key, value string) error {
	switch key {
	case "ip", "ip6":
		return setAddress(e, key == "ip", value)
	case "mac", "mac-address":
		mac, err := parseMAC(value)
		e.MacAddress = mac
		return err
	case "alias":
		if !validDomain(value) {
			return fmt.Errorf("invalid network alias %q", value)
		}
		e.Aliases = append(e.Aliases, value)
		return nil
	case "link-local-ip":
		return errLinkLocal
	case "gw-priority":
		priority, err := strconv.Atoi(value)
		if err != nil {
			return fmt.Errorf("invalid gw-priority (%s): not a whole number", value)
		}
		e.GwPriority = priority
		return nil
	case "interface_name", "interface-name":
		return setOption(e, OptionInterface, value)
	case "host_loopback", "host-loopback":
		return setOption(e, OptionHostLoopback, value)
	case "driver-opt":
		name, given, found := strings.Cut(value, "=")
		if name = strings.ToLower(strings.TrimSpace(name)); !found || name == "" {
			return errors.New("invalid key value pair format in driver options")
		}
		return setOption(e, name, given)
	}
	return fmt.Errorf("invalid field key %s", key)
}

func setAddress(e *store.EndpointConfig, four bool, value string) error {
	addr, err := netip.ParseAddr(value)
	if err != nil || addr.Is4() != four || addr.Zone() != "" || addr.Is4In6() {
		if four {
			return fmt.Errorf("invalid IPv4 address: %s", value)
		}
		return fmt.Errorf("invalid IPv6 address: %s", value)
	}
	if e.IPAMConfig == nil {
		e.IPAMConfig = &store.EndpointIPAM{}
	}
	if four {
		e.IPAMConfig.IPv4Address = addr.String()
	} else {
		e.IPAMConfig.IPv6Address = addr.String()
	}
	return nil
}

// setOption takes the driver options that skiff knows, and no others.
func setOption(e *store.EndpointConfig, name, value string) error {
	switch name {
	case OptionInterface:
		if !validInterface(value) {
			return fmt.Errorf("invalid interface name %q: 1 to 15 characters without '/', ':' and spaces, and not lo", value)
		}
	case OptionSysctls:
		if err := checkInterfaceSysctls(value); err != nil {
			return err
		}
	case "host-loopback", OptionHostLoopback:
		on, err := strconv.ParseBool(value)
		if err != nil {
			return fmt.Errorf("invalid %s %q: true or false", name, value)
		}
		name, value = OptionHostLoopback, strconv.FormatBool(on)
	default:
		return &userns.HostError{
			What: fmt.Sprintf("driver option %q of an endpoint is not known", name),
			Hint: "there are " + strings.Join([]string{OptionInterface, OptionSysctls, OptionHostLoopback}, ", "),
		}
	}
	if e.DriverOpts == nil {
		e.DriverOpts = map[string]string{}
	}
	e.DriverOpts[name] = value
	return nil
}

// checkInterfaceSysctls lets pass parameters of the container's own interface only.
func checkInterfaceSysctls(list string) error {
	for spec := range strings.SplitSeq(list, ",") {
		name, _, found := strings.Cut(spec, "=")
		parts := strings.Split(name, ".")
		if !found || len(parts) != 5 || parts[0] != "net" || parts[3] != "IFNAME" || strings.Contains(name, "/") ||
			parts[1] != "ipv4" && parts[1] != "ipv6" && parts[1] != "mpls" {
			return fmt.Errorf("unrecognised network interface sysctl %q: expected net.ipv4.conf.IFNAME.name=value", spec)
		}
	}
	return nil
}

// validInterface is the kernel's rule (dev_valid_name), without what would hide lo.
func validInterface(name string) bool {
	return name != "" && len(name) < 16 && name != "." && name != ".." && name != "lo" && name != "all" && name != "default" &&
		!strings.ContainsFunc(name, func(r rune) bool { return unprintable(r) || r > 0x7e || r == '/' || r == ':' || r == '%' })
}

// parseMAC takes 48-bit addresses of one station: the first bit sent, which marks a
// group, must be zero (IEEE 802).
func parseMAC(text string) (string, error) {
	mac, err := net.ParseMAC(text)
	if err != nil || len(mac) != 6 || mac[0]&1 != 0 || mac.String() == "00:00:00:00:00:00" {
		return "", fmt.Errorf("%s is not a valid mac address", text)
	}
	return mac.String(), nil
}
