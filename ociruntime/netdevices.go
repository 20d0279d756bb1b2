package ociruntime

import (
	"fmt"
)

// moveDevices moves network devices of the host into the container's network namespace.
func (c *Container) moveDevices(pid int) error {
	if len(c.spec.Linux.NetDevices) == 0 {
		return nil
	}
	return fmt.Errorf("network devices of the host are not supported")
}
