package netns

import (
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// The options of networks (--opt) that have a name in code.
const (
	optionMTU     = "com.docker.network.driver.mtu"
	optionIsolate = "isolate"                              // podman's: "false" lets networks that both have it talk
	optionICC     = "com.docker.network.bridge.enable_icc" // "false" keeps containers of one network apart
	optionParent  = "parent"                               // macvlan: the network whose bridge it lies on
	optionMode    = "macvlan_mode"                         // macvlan: "bridge"
	optionPeers   = "peers"                                // overlay: addresses of the other hosts, with commas between
)

// drivers are what networks can be, each with its options and their checks. A check
// returns the value as it is kept.
var drivers = map[string]map[string]func(string) (string, error){
	"bridge": {
		optionMTU: checkMTU, "mtu": checkMTU, optionIsolate: checkBool, optionICC: checkBool, OptionHostLoopback: checkBool,
	},
	"macvlan": {
		optionMTU: checkMTU, "mtu": checkMTU, OptionHostLoopback: checkBool, optionParent: checkAny,
		optionMode: onlyBridgeMode, "mode": onlyBridgeMode,
	},
	"overlay": {
		optionMTU: checkMTU, "mtu": checkMTU, optionIsolate: checkBool, OptionHostLoopback: checkBool,
		optionPeers: checkPeers, "vni": checkNumber(1, 1<<24-1), "port": checkNumber(1024, 65535),
	},
}

// refusedOptions are Docker's that have no meaning here, and what has it in their place.
var refusedOptions = map[string]struct{ why, hint string }{
	"com.docker.network.bridge.name": {
		"the bridge lies in skiff's own network namespace, where its name is skiff's", "",
	},
	"com.docker.network.bridge.enable_ip_masquerade": {
		"no address is translated: what is for the world goes by the network helper", "--internal makes a network that has no way out",
	},
	"com.docker.network.bridge.host_binding_ipv4": {
		"a network has no address of the host's", "say it with each port: -p 127.0.0.1:8080:80 of skiff run",
	},
	"com.docker.network.container_iface_prefix": {
		"interfaces are named for each container", "--network name=NETWORK,driver-opt=" + OptionInterface + "=NAME of skiff run",
	},
}

// parseOptions reads --opt of a driver.
func parseOptions(driver string, specs []string) (map[string]string, error) {
	known, ok := drivers[driver]
	if !ok {
		return nil, unknownDriver(driver)
	}
	all := map[string]string{}
	for _, spec := range specs {
		name, value, _ := strings.Cut(spec, "=")
		if refused, ok := refusedOptions[name]; ok {
			return nil, &userns.HostError{What: fmt.Sprintf("invalid option %s: %s", spec, refused.why), Hint: refused.hint}
		}
		check, ok := known[name]
		if !ok {
			return nil, &userns.HostError{
				What: fmt.Sprintf("option %q is not known to the driver %q", name, driver),
				Hint: "there are " + sortedKeys(known),
			}
		}
		kept, err := check(value)
		if err != nil {
			return nil, fmt.Errorf("invalid option %s: %w", spec, err)
		}
		all[name] = kept
	}
	return all, nil
}

func unknownDriver(driver string) error {
	hint := "there are " + sortedKeys(drivers)
	switch driver {
	case "host", "none", kindPasta, kindSlirp:
		return &userns.HostError{What: fmt.Sprintf("no network of the driver %q can be made", driver), Hint: "say --network " + driver + " to skiff run"}
	case "ipvlan":
		hint = "a user's networks have no hold on the host's card; " + hint
	}
	return &userns.HostError{What: fmt.Sprintf("could not find plugin %s in v1 plugin registry: there is no such driver", driver), Hint: hint}
}

func checkAny(value string) (string, error) { return value, nil }

func checkBool(value string) (string, error) {
	on, err := strconv.ParseBool(value)
	if err != nil {
		return "", fmt.Errorf("true or false")
	}
	return strconv.FormatBool(on), nil
}

// checkMTU keeps to what IPv4 needs (RFC 791) and a bridge can have.
func checkMTU(value string) (string, error) { return checkNumber(68, 65535)(value) }

func checkNumber(least, most int) func(string) (string, error) {
	return func(value string) (string, error) {
		n, err := strconv.Atoi(value)
		if err != nil || n < least || n > most {
			return "", fmt.Errorf("a number from %d to %d", least, most)
		}
		return strconv.Itoa(n), nil
	}
}

func onlyBridgeMode(value string) (string, error) {
	if value != "bridge" {
		return "", fmt.Errorf("only the mode bridge there is, as all interfaces lie on a network of skiff's")
	}
	return value, nil
}

// checkPeers takes addresses of one family, which the tunnel's own address is of.
func checkPeers(value string) (string, error) {
	six := strings.Contains(value, ":")
	for text := range strings.SplitSeq(value, ",") {
		addr, err := netip.ParseAddr(text)
		if err != nil || addr.Zone() != "" || addr.IsMulticast() || addr.IsUnspecified() || addr.IsLoopback() {
			return "", fmt.Errorf("%q is no address of a host", text)
		}
		if addr.Is4() == six {
			return "", fmt.Errorf("IPv4 and IPv6 addresses in one list")
		}
	}
	return value, nil
}

// checkDriver checks what only makes sense beside the other networks.
func checkDriver(n *store.Network, others []*store.Network) error {
	for _, key := range []string{optionMTU, "mtu"} {
		if mtu, err := strconv.Atoi(n.Options[key]); err == nil && n.EnableIPv6 && mtu < 1280 {
			return fmt.Errorf("invalid option %s=%d: IPv6 needs 1280 (RFC 8200, section 5)", key, mtu)
		}
	}
	switch n.Driver {
	case "macvlan":
		return checkParent(n, others)
	case "overlay":
		return checkOverlay(n, others)
	}
	return nil
}

// checkParent lets a macvlan lie on a bridge network only.
func checkParent(n *store.Network, others []*store.Network) error {
	parent := n.Options[optionParent]
	if parent == "" {
		return &userns.HostError{What: "a macvlan network needs a parent", Hint: "-o parent=NETWORK, the name of a bridge network of skiff's"}
	}
	for _, other := range others {
		if other.Name != parent {
			continue
		}
		if other.Driver != "bridge" {
			return fmt.Errorf("invalid parent %q: a macvlan lies on a bridge network, that is of driver %q", parent, other.Driver)
		}
		return nil
	}
	card, _, _ := strings.Cut(parent, ".")
	if _, err := os.Lstat(filepath.Join("/sys/class/net", filepath.Base(card))); err == nil {
		return &userns.HostError{
			What: fmt.Sprintf("invalid parent %q: it is the host's own card, which only root of the host may give addresses on; a user's networks have no hold on it", parent),
			Hint: "-o parent=NETWORK, the name of a bridge network of skiff's; -p publishes ports on the host's addresses",
		}
	}
	return fmt.Errorf("invalid parent %q: %w", parent, store.ErrNoNetwork)
}

// checkOverlay: the hosts agree on subnet, VNI and port by being told the same.
func checkOverlay(n *store.Network, others []*store.Network) error {
	if n.Options[optionPeers] == "" {
		return &userns.HostError{What: "an overlay network needs the addresses of the other hosts", Hint: "-o peers=ADDRESS[,ADDRESS]"}
	}
	for key, value := range map[string]string{"vni": "4096", "port": "4789"} {
		if n.Options[key] == "" {
			n.Options[key] = value
		}
	}
	for _, other := range others {
		if other.Driver == "overlay" && other.Options["port"] == n.Options["port"] && other.Options["vni"] == n.Options["vni"] {
			return &userns.HostError{
				What: fmt.Sprintf("network %q has VNI %s on UDP port %s already", other.Name, n.Options["vni"], n.Options["port"]),
				Hint: "-o vni=NUMBER, the same on all hosts of a network",
			}
		}
	}
	return nil
}
