package oci

import (
	"testing"
)

func TestLaunch(t *testing.T) {
	c := newContainer(t, script("id -u", "hostname", "cat /proc/self/mountinfo", "ls -l /dev", "ls -l /proc/self/fd")...)
	t.Log(c.output())
}
