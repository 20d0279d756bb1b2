package run

import (
	"fmt"

	"github.com/skiff-containers/skiff/store"
)

// LimitOptions are the flags that bound what a container may use of the host. What
// is zero or "" was not given.
type LimitOptions struct {
	Memory            string // bytes, with a unit
	MemoryReservation string
	MemorySwap        string // of memory and swap together; "-1" is unlimited

	CPUs       string // a decimal number
	CPUShares  int64
	CPUPeriod  int64 // microseconds
	CPUQuota   int64
	CpusetCpus string // "0-3,5"
	CpusetMems string

	PidsLimit *int // -1 and 0 are none

	BlkioWeight       uint16
	BlkioWeightDevice []string // path:weight
	DeviceReadBps     []string // path:rate
	DeviceWriteBps    []string
	DeviceReadIOps    []string
	DeviceWriteIOps   []string

	CgroupParent string
	CgroupConf   []string // file=value
	StrictLimits bool     // what cannot be limited is an error
}

// minMemory is the least that Docker lets a container have.
const minMemory = 6 << 20

// limits fills what the record keeps of LimitOptions.
func (p *plan) limits(o *CreateOptions) (err error) {
	h := &p.record.HostConfig
	h.CgroupParent, h.StrictLimits = o.CgroupParent, o.StrictLimits
	if h.CgroupConf, err = parseCgroupConf(o.CgroupConf); err != nil {
		return err
	}
	if h.Resources, err = o.LimitOptions.over(store.Resources{}); err != nil {
		return err
	}
	return checkResources(&h.Resources)
}

// over returns resources as they are after what was given has been changed.
func (o *LimitOptions) over(r store.Resources) (store.Resources, error) {
	for _, b := range []struct {
		to         *int64
		text, flag string
	}{{&r.Memory, o.Memory, "memory"}, {&r.MemoryReservation, o.MemoryReservation, "memory-reservation"}} {
		if b.text == "" {
			continue
		}
		n, err := parseBytes(b.text)
		if err != nil {
			return r, fmt.Errorf("parsing --%s %q: %w", b.flag, b.text, err)
		}
		*b.to = n
	}
	if err := o.overSwap(&r); err != nil {
		return r, err
	}
	if o.CPUs != "" {
		n, err := parseCPUs(o.CPUs)
		if err != nil {
			return r, err
		}
		r.NanoCpus = n
	}
	set(&r.CpuShares, o.CPUShares)
	set(&r.CpuPeriod, o.CPUPeriod)
	set(&r.CpuQuota, o.CPUQuota)
	set(&r.CpusetCpus, o.CpusetCpus)
	set(&r.CpusetMems, o.CpusetMems)
	set(&r.BlkioWeight, o.BlkioWeight)
	if o.PidsLimit != nil {
		limit := int64(*o.PidsLimit)
		if limit <= 0 {
			limit = -1
		}
		r.PidsLimit = &limit
	}
	if r.CpuShares > 0 { // what the kernel's scale holds, as Docker does
		r.CpuShares = min(max(r.CpuShares, 2), 262144)
	}
	return r, o.overDevices(&r)
}

// overSwap is Docker's rule: with memory alone, as much swap again.
func (o *LimitOptions) overSwap(r *store.Resources) error {
	switch {
	case o.MemorySwap == "-1":
		r.MemorySwap = -1
	case o.MemorySwap != "":
		n, err := parseBytes(o.MemorySwap)
		if err != nil {
			return fmt.Errorf("parsing --memory-swap %q: %w", o.MemorySwap, err)
		}
		r.MemorySwap = n
	}
	if r.Memory > 0 && r.MemorySwap == 0 {
		r.MemorySwap = 2 * r.Memory
	}
	return nil
}

func set[T comparable](to *T, given T) {
	var zero T
	if given != zero {
		*to = given
	}
}

func (o *LimitOptions) overDevices(r *store.Resources) (err error) {
	for _, text := range o.BlkioWeightDevice {
		w, err := parseWeightDevice(text)
		if err != nil {
			return err
		}
		r.BlkioWeightDevice = append(r.BlkioWeightDevice, w)
	}
	for _, d := range []struct {
		to    *[]store.ThrottleDevice
		texts []string
		bytes bool
	}{
		{&r.BlkioDeviceReadBps, o.DeviceReadBps, true}, {&r.BlkioDeviceWriteBps, o.DeviceWriteBps, true},
		{&r.BlkioDeviceReadIOps, o.DeviceReadIOps, false}, {&r.BlkioDeviceWriteIOps, o.DeviceWriteIOps, false},
	} {
		for _, text := range d.texts {
			t, err := parseThrottle(text, d.bytes)
			if err != nil {
				return err
			}
			*d.to = append(*d.to, t)
		}
	}
	return nil
}
