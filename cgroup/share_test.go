package cgroup

import (
	"context"
	"fmt"
	"testing"

	"github.com/godbus/dbus/v5"
	"github.com/opencontainers/cgroups"
)

// What counts among neighbours is for the scope, and nothing else is.
func TestShares(t *testing.T) {
	weight := cgroups.NewWeightDevice(252, 16, 500, 0)
	r := &cgroups.Resources{
		CpuWeight: 20, BlkioWeight: 500, BlkioWeightDevice: []*cgroups.WeightDevice{weight}, MemoryReservation: 1 << 20,
		Memory: 2 << 20, CpuQuota: 5000, CpuPeriod: 10000, CpusetCpus: "0", Unified: map[string]string{"memory.min": "4096", "memory.high": "8192"},
	}
	got := map[string]string{}
	for _, p := range shares(r) {
		got[p.Name] = p.Value.String()
	}
	want := map[string]string{
		"CPUWeight": "@t 20", "IOWeight": "@t 4950", "MemoryLow": "@t 1048576", "MemoryMin": "@t 4096",
		"IODeviceWeight": `@a(st) [("/dev/block/252:16", 4950,)]`,
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", got, want)
	}
	if all := shares(&cgroups.Resources{Memory: 1, MemoryReservation: -1}); len(all) > 0 {
		t.Errorf("nothing is to be shared: %v", all)
	}
}

// The manager's refusal is told, signals that come before its answer are passed over.
func TestSetProperties(t *testing.T) {
	refusal := &dbus.Message{Type: dbus.TypeError, Headers: map[dbus.HeaderField]dbus.Variant{dbus.FieldErrorName: dbus.MakeVariant("org.freedesktop.DBus.Error.AccessDenied")},
		Body: []any{}}
	for want, answers := range map[string][]*dbus.Message{
		"<nil>": {removed(job, "done"), {Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{}}},
		`changing the scope "x.scope": org.freedesktop.DBus.Error.AccessDenied`: {refusal},
	} {
		c, err := converse(context.Background(), server(t, answers...))
		if err != nil {
			t.Fatal(err)
		}
		if err := c.setProperties("x.scope", shares(&cgroups.Resources{CpuWeight: 5})); fmt.Sprint(err) != want {
			t.Errorf("got %v, want %s", err, want)
		}
		c.close()
	}
}
