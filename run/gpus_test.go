package run

import (
	"reflect"
	"testing"
)

func TestGPUs(t *testing.T) {
	t.Parallel()
	for spec, want := range map[string][]string{
		"all":                   {"nvidia.com/gpu=all"},
		"2":                     {"nvidia.com/gpu=0", "nvidia.com/gpu=1"},
		"device=GPU-3a":         {"nvidia.com/gpu=GPU-3a"},
		`"device=1,3"`:          {"nvidia.com/gpu=1", "nvidia.com/gpu=3"},
		"all,capabilities=gpu":  {"nvidia.com/gpu=all"},
		"driver=nvidia,count=1": {"nvidia.com/gpu=0"},
	} {
		r, err := parseGPU(spec)
		if got := cdiNames(&r); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("--gpus %s means %q, %v; want %q", spec, got, err, want)
		}
	}
	for _, spec := range []string{"", "0", "-1", "some", "all,capabilities=utility", "driver=amd", "count=1,device=0", "colour=red"} {
		if _, err := parseGPU(spec); err == nil {
			t.Errorf("--gpus %q is taken", spec)
		}
	}
}
