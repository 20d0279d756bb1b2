package oci

import (
	"slices"
	"testing"
	"time"
)

// BenchmarkLaunch is a container with `true`, without the shim and its user
// namespace: fork, stage, mounts, exec, exit, end of the namespaces.
func BenchmarkLaunch(b *testing.B) {
	c := &container{request: request{Rootfs: busyboxRoot(b), Spec: dockerSpec("true")}}
	c.Seccomp = denyFilter(mkdirCalls()...)
	c.Repeat = b.N - 1
	e := c.bench(b, b.N)
	report(b, e.Starts)
}

// BenchmarkExec is the same for a further process.
func BenchmarkExec(b *testing.B) {
	c := &container{request: request{Rootfs: busyboxRoot(b), Spec: dockerSpec("sleep", "1000"), Kill: 9}}
	for range b.N {
		c.Execs = append(c.Execs, execRequest{Process: dockerProcess("true")})
	}
	var starts []time.Duration
	for _, x := range c.bench(b, b.N).Execs {
		starts = append(starts, x.Starts...)
	}
	report(b, starts)
}

func (c *container) bench(b *testing.B, processes int) ended {
	b.Helper()
	r := c.startIn(b)
	begin := time.Now()
	e := r.wait()
	if e.Failure != nil {
		b.Fatal(e.Failure)
	}
	b.ReportMetric(float64(time.Since(begin).Microseconds())/float64(processes), "µs/process")
	return e
}

// report gives the median time from the call of Start to its return, when the
// process was executed, and the best of them, which a busy machine disturbs least.
func report(b *testing.B, starts []time.Duration) {
	slices.Sort(starts)
	b.ReportMetric(float64(starts[len(starts)/2].Microseconds()), "µs/start")
	b.ReportMetric(float64(starts[0].Microseconds()), "µs/best-start")
}
