package escape

import (
	"bufio"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// The caller's terminal is no container's: one who has it could type for its user
// (TIOCSTI), and read what is typed.
func TestTerminalOfTheCallerStaysOutside(t *testing.T) {
	t.Parallel()
	name := background(t, nil, "sleep")
	for what, args := range map[string][]string{
		"run":        inside([]string{"-i"}, "terminal"),
		"exec":       {"exec", "-i", name, "/tool", attacker, "terminal"},
		"attach all": inside([]string{"-i", "-a", "stdin", "-a", "stdout", "-a", "stderr"}, "terminal"),
	} {
		master, slave := terminal(t)
		defer master.Close()
		cmd := command(args...)
		cmd.Stdin, cmd.Stdout = slave, slave
		o := finish(cmd)
		slave.Close()
		said, _ := bufio.NewReader(master).ReadString('\n') // a terminal may hand a line on in parts
		if o.code != 0 || said != "none\r\n" {
			t.Errorf("%s: exit code %d, %q %s", what, o.code, said, o.all)
		}
	}
}

// terminal makes a pair.
func terminal(t *testing.T) (master, slave *os.File) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	master = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	if fd, err = unix.Open(fmt.Sprintf("/dev/pts/%d", n), unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0); err != nil {
		t.Fatal(err)
	}
	return master, os.NewFile(uintptr(fd), "pts")
}

func findTerminal([]string) error {
	found := false
	for fd := range 3 {
		if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
			found = true
			fmt.Println("descriptor", fd, "is one")
		}
		if fd, err := unix.Open(fmt.Sprintf("/proc/self/fd/%d", fd), unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err == nil {
			if _, err := unix.IoctlGetTermios(fd, unix.TCGETS); err == nil {
				found = true
				fmt.Println("opened one again")
			}
			unix.Close(fd)
		}
	}
	if _, err := unix.Open("/dev/tty", unix.O_RDWR|unix.O_NOCTTY, 0); err == nil {
		found = true
		fmt.Println("/dev/tty is one")
	}
	if !found {
		fmt.Println("none")
	}
	return nil
}
