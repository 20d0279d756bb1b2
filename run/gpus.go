package run

import (
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// gpuKind is the CDI kind that --gpus means, as podman has it.
const gpuKind = "nvidia.com/gpu"

// parseGPUs reads --gpus: all, a number, or fields as docker takes them.
func parseGPUs(specs []string) ([]store.DeviceRequest, error) {
	var all []store.DeviceRequest
	for _, spec := range specs {
		r, err := parseGPU(spec)
		if err != nil {
			return nil, err
		}
		all = append(all, r)
	}
	return all, nil
}

func parseGPU(spec string) (r store.DeviceRequest, err error) {
	bad := func(why string) (store.DeviceRequest, error) {
		return r, fmt.Errorf("parsing --gpus %q: %s", spec, why)
	}
	fields, err := csv.NewReader(strings.NewReader(spec)).Read()
	if errors.Is(err, io.EOF) {
		err = errEmpty
	}
	if err != nil {
		return bad(err.Error())
	}
	for _, field := range fields {
		key, value, given := strings.Cut(field, "=")
		if !given {
			key, value = "count", field
		}
		switch key {
		case "count":
			if r.Count, err = gpuCount(value); err != nil {
				return bad(err.Error())
			}
		case "device":
			r.DeviceIDs = append(r.DeviceIDs, strings.Split(value, ",")...)
		case "driver":
			if value != "nvidia" && value != "cdi" {
				return r, &userns.HostError{What: fmt.Sprintf("--gpus %q: driver %q is not supported", spec, value), Hint: "name the device by CDI: --device VENDOR/CLASS=NAME"}
			}
			r.Driver = value
		case "capabilities":
			if value != "gpu" {
				return r, &userns.HostError{What: fmt.Sprintf("--gpus %q: capabilities cannot be chosen: a CDI device has what its file says", spec), Hint: "leave capabilities out"}
			}
		default:
			return bad(fmt.Sprintf("unexpected key %q", key))
		}
	}
	if r.Count != 0 && len(r.DeviceIDs) > 0 {
		return bad("a count and devices exclude each other")
	}
	if r.Count == 0 && len(r.DeviceIDs) == 0 {
		r.Count = 1
	}
	r.Capabilities = [][]string{{"gpu"}}
	return r, nil
}

func gpuCount(text string) (int, error) {
	if text == "all" {
		return -1, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		return 0, fmt.Errorf("invalid count %q: a number, or all", text)
	}
	return n, nil
}

// cdiNames are the CDI devices of a request.
func cdiNames(r *store.DeviceRequest) []string {
	if len(r.Capabilities) == 0 {
		return r.DeviceIDs // named so by --device
	}
	var names []string
	switch {
	case r.Count < 0:
		names = []string{gpuKind + "=all"}
	default:
		for i := range r.Count {
			names = append(names, gpuKind+"="+strconv.Itoa(i))
		}
	}
	for _, id := range r.DeviceIDs {
		names = append(names, gpuKind+"="+id)
	}
	return names
}
