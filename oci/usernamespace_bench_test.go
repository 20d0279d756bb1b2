package oci

import (
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// BenchmarkLaunchUserNamespace is BenchmarkLaunch with a user namespace of the
// container's own.
func BenchmarkLaunchUserNamespace(b *testing.B) {
	c := ownUserNamespace(b, "true")
	c.Seccomp = denyFilter(mkdirCalls()...)
	c.Repeat = b.N - 1
	report(b, c.bench(b, b.N).Starts)
}

// BenchmarkExecUserNamespace is BenchmarkExec, likewise.
func BenchmarkExecUserNamespace(b *testing.B) {
	c := ownUserNamespace(b, "sleep", "1000")
	c.Kill = 9
	for range b.N {
		c.Execs = append(c.Execs, execRequest{Process: dockerProcess("true")})
	}
	var starts []time.Duration
	for _, x := range c.bench(b, b.N).Execs {
		starts = append(starts, x.Starts...)
	}
	report(b, starts)
}

func ownUserNamespace(b *testing.B, args ...string) *container {
	c := &container{request: request{Rootfs: busyboxRoot(b), Spec: dockerSpec(args...)}}
	c.Spec.Linux.Namespaces = append(c.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: specs.UserNamespace})
	c.Spec.Linux.UIDMappings, c.Spec.Linux.GIDMappings = sameMap, sameMap
	return c
}
