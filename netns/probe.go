package netns

import (
	"errors"

	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// tunDevice makes the interfaces by which traffic leaves for the world.
const tunDevice = "/dev/net/tun"

// Probe tells why this machine can give containers no networks, with what mends it;
// nil where nothing is known that stands against it. It costs microseconds.
func Probe() error { return probe(tunDevice) }

func probe(device string) error {
	err := unix.Access(device, unix.R_OK|unix.W_OK)
	switch {
	case err == nil:
		return nil
	case errors.Is(err, unix.EACCES):
		return &userns.HostError{
			What: "networks of containers need " + device + ", which this user may not open",
			Hint: "sudo chmod 666 " + device + ", or run with --network host or --network none",
			Err:  err,
		}
	}
	return &userns.HostError{
		What: "networks of containers need " + device + ", which this machine lacks",
		Hint: "sudo modprobe tun (in a container: give it --device " + device + "), or run with --network host or --network none",
		Err:  err,
	}
}
