package run

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/skiff-containers/skiff/cgroup"
	"github.com/skiff-containers/skiff/conmon"
	"github.com/skiff-containers/skiff/store"
)

// UpdateOptions are what `update` changes; what was not given stays as it is.
type UpdateOptions struct {
	LimitOptions
	Restart string // a restart policy; "" leaves it
}

// Update changes a container's limits and restart policy: on record for its next
// start, and at once where it runs.
func (e *Engine) Update(ctx context.Context, ref string, o *UpdateOptions) error {
	defer e.tidy()()
	c, err := e.Store.Find(ref)
	if err != nil {
		return err
	}
	lock, state, err := c.LockChange()
	if err != nil {
		return err
	}
	defer lock.Unlock()
	r, err := c.Record() // under the lock: it may have been changed since
	if err != nil {
		return err
	}
	if err := e.update(ctx, c, r, state, o); err != nil {
		return fmt.Errorf("updating container %q: %w", r.Name, err)
	}
	e.emit(r, "update")
	return nil
}

func (e *Engine) update(ctx context.Context, c *store.Container, r *store.Record, state *store.State, o *UpdateOptions) (err error) {
	h := &r.HostConfig
	if err := o.loosen(h); err != nil {
		return err
	}
	if h.Resources, err = o.LimitOptions.over(h.Resources); err != nil {
		return err
	}
	if o.Memory != "" && o.MemorySwap == "" && h.MemorySwap > 0 && h.Memory > h.MemorySwap {
		return errors.New("memory limit should be smaller than already set memoryswap limit, update the memoryswap at the same time")
	}
	if err := checkResources(&h.Resources); err != nil {
		return err
	}
	if o.Restart != "" {
		if h.RestartPolicy, err = parseRestart(o.Restart, h.AutoRemove); err != nil {
			return err
		}
	}
	if o.LimitOptions.given() {
		if err := e.limitAnew(r, state); err != nil {
			return err
		}
	}
	if o.Restart != "" && state.Up() {
		if err := tellPolicy(ctx, c, h.RestartPolicy); err != nil {
			return err
		}
	}
	return c.WriteRecord(r, durabilityOf(r))
}

// loosen takes back what a new limit takes the place of: Docker's --cpus and --cpu-quota
// exclude each other, and new memory needs the room in what memory and swap have together.
func (o *UpdateOptions) loosen(h *store.HostConfig) error {
	if o.CPUs != "" && (o.CPUQuota != 0 || o.CPUPeriod != 0) {
		return errors.New("conflicting options: Nano CPUs and CPU Period or Quota cannot both be set")
	}
	switch {
	case o.CPUs != "":
		h.CpuQuota, h.CpuPeriod = 0, 0
	case o.CPUQuota != 0 || o.CPUPeriod != 0:
		if h.NanoCpus > 0 {
			return errors.New("conflicting options: CPU Period or Quota cannot be updated as NanoCPUs has already been set")
		}
	}
	if len(o.BlkioWeightDevice) > 0 {
		h.BlkioWeightDevice = nil
	}
	for _, d := range []struct {
		given []string
		to    *[]store.ThrottleDevice
	}{
		{o.DeviceReadBps, &h.BlkioDeviceReadBps}, {o.DeviceWriteBps, &h.BlkioDeviceWriteBps},
		{o.DeviceReadIOps, &h.BlkioDeviceReadIOps}, {o.DeviceWriteIOps, &h.BlkioDeviceWriteIOps},
	} {
		if len(d.given) > 0 {
			*d.to = nil
		}
	}
	return nil
}

// given tells whether any limit was named.
func (o *LimitOptions) given() bool { return !reflect.ValueOf(*o).IsZero() }

// limitAnew has new limits take hold at once where the container runs, else tells which
// will not on its next start.
func (e *Engine) limitAnew(r *store.Record, state *store.State) error {
	if state.Up() {
		return e.apply(r, state)
	}
	return e.tellAhead(r)
}

// apply sets the limits of a container that runs.
func (e *Engine) apply(r *store.Record, state *store.State) error {
	limits, err := limitsOf(r)
	if err != nil {
		return err
	}
	if state.Cgroup == nil {
		place := cgroup.Find()
		why := place.Why
		if why == nil {
			why = errors.New("it was started without a cgroup; a restart gives it one")
		}
		return e.ungrouped(r, limits, why, e.sayEach)
	}
	lacking, err := cgroup.Find().Update(state.Cgroup, limits)
	if err != nil {
		return err
	}
	return e.lacking(r, lacking, e.sayEach)
}

// tellAhead says of a container that does not run what cannot be limited when it does.
func (e *Engine) tellAhead(r *store.Record) error {
	place := cgroup.Find()
	if place.Driver != cgroup.None {
		return nil
	}
	limits, err := limitsOf(r)
	if err != nil {
		return err
	}
	return e.ungrouped(r, limits, place.Why, e.sayEach)
}

// sayEach gives a notice that a start gives once: who changes limits wants to know.
func (e *Engine) sayEach(_, text string) { e.say(text) }

// tellPolicy has a shim go by another policy from now on. One that has just ended
// needs none.
func tellPolicy(ctx context.Context, c *store.Container, p store.RestartPolicy) error {
	client, err := conmon.Dial(c)
	if err == nil {
		defer client.Close()
		err = client.Policy(ctx, p)
	}
	if errors.Is(err, conmon.ErrGone) {
		return nil
	}
	return err
}
