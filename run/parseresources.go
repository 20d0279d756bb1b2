package run

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
)

// parseCPUs reads a decimal number of processors as nanoseconds a second.
func parseCPUs(text string) (int64, error) {
	cpus, ok := new(big.Rat).SetString(text)
	if !ok {
		return 0, fmt.Errorf("parsing --cpus %q: not a rational number", text)
	}
	nano := cpus.Mul(cpus, big.NewRat(1e9, 1))
	if !nano.IsInt() || !nano.Num().IsInt64() {
		return 0, fmt.Errorf("parsing --cpus %q: value is too precise", text)
	}
	return nano.Num().Int64(), nil
}

// parseDeviceValue splits "path:value".
func parseDeviceValue(text string) (path, value string, err error) {
	path, value, found := strings.Cut(text, ":")
	if !found || path == "" || strings.Contains(value, ":") {
		return "", "", fmt.Errorf("bad format: %s", text)
	}
	if !strings.HasPrefix(path, "/dev/") {
		return "", "", fmt.Errorf("bad format for device path: %s", text)
	}
	return path, value, nil
}

func parseWeightDevice(text string) (store.WeightDevice, error) {
	path, value, err := parseDeviceValue(text)
	if err != nil {
		return store.WeightDevice{}, err
	}
	weight, err := strconv.ParseUint(value, 10, 16)
	if err != nil || weight > 0 && (weight < 10 || weight > 1000) {
		return store.WeightDevice{}, fmt.Errorf("invalid weight for device: %s", text)
	}
	return store.WeightDevice{Path: path, Weight: uint16(weight)}, nil
}

func parseThrottle(text string, inBytes bool) (store.ThrottleDevice, error) {
	path, value, err := parseDeviceValue(text)
	if err != nil {
		return store.ThrottleDevice{}, err
	}
	if !inBytes {
		rate, err := strconv.ParseUint(value, 10, 64)
		if err != nil {
			return store.ThrottleDevice{}, fmt.Errorf("invalid rate for device: %s. The correct format is <device-path>:<number>. Number must be a positive integer", text)
		}
		return store.ThrottleDevice{Path: path, Rate: rate}, nil
	}
	rate, err := parseBytes(value)
	if err != nil || rate < 0 {
		return store.ThrottleDevice{}, fmt.Errorf("invalid rate for device: %s. The correct format is <device-path>:<number>[<unit>]. Number must be a positive integer. Unit is optional and can be kb, mb, or gb", text)
	}
	return store.ThrottleDevice{Path: path, Rate: uint64(rate)}, nil
}

// parseCgroupConf reads podman's file=value, such as memory.high=1073741824.
func parseCgroupConf(all []string) (map[string]string, error) {
	var conf map[string]string
	for _, text := range all {
		name, value, found := strings.Cut(text, "=")
		controller, _, dotted := strings.Cut(name, ".")
		if !found || !dotted || controller == "" || strings.Contains(name, "/") {
			return nil, fmt.Errorf("invalid cgroup configuration %q: it must be CONTROLLER.FILE=VALUE, such as memory.high=1073741824", text)
		}
		if controller == "cgroup" {
			return nil, fmt.Errorf("invalid cgroup configuration %q: the group itself is skiff's", text)
		}
		if conf == nil {
			conf = map[string]string{}
		}
		conf[name] = value
	}
	return conf, nil
}
