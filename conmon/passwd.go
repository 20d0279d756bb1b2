package conmon

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Identity is a user of the host's whom the container is to know by name.
type Identity struct {
	Name, Group string
	UID, GID    uint32
	FullName    string
	Home        string
}

// maxAccounts bounds what is read of a container's /etc/passwd or /etc/group.
const maxAccounts = 1 << 20

// addTo adds the user to the container's own /etc/passwd, and its group to /etc/group,
// where neither name nor number is there and the image has such files: as podman does.
// It goes to the container's writable layer; the image stays as it is.
func (i *Identity) addTo(root string) error {
	if i == nil {
		return nil
	}
	passwd := fmt.Sprintf("%s:*:%d:%d:%s:%s:/bin/sh\n", i.Name, i.UID, i.GID, strings.NewReplacer(":", " ", "\n", " ").Replace(i.FullName), i.Home)
	if err := addAccount(root, "etc/passwd", i.Name, i.UID, passwd); err != nil {
		return err
	}
	if i.Group == "" {
		return nil
	}
	return addAccount(root, "etc/group", i.Group, i.GID, fmt.Sprintf("%s:x:%d:%s\n", i.Group, i.GID, i.Name))
}

// addAccount appends a line. What the file's name leads to is looked for beneath the
// container's root only, and must be an ordinary file.
func addAccount(root, name, account string, id uint32, line string) error {
	fd, err := unix.Open(root, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("opening the root file system: %w", err)
	}
	defer unix.Close(fd)
	file, err := unix.Openat2(fd, name, &unix.OpenHow{Flags: unix.O_RDWR | unix.O_APPEND | unix.O_NONBLOCK | unix.O_NOCTTY | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.ENOTDIR) || errors.Is(err, unix.ELOOP) || errors.Is(err, unix.ENXIO) {
		return nil // an image without accounts needs none
	}
	if err != nil {
		return fmt.Errorf("adding %q to the container's /%s: %w", account, name, err)
	}
	f := os.NewFile(uintptr(file), name)
	defer f.Close()
	if st, err := f.Stat(); err != nil || !st.Mode().IsRegular() {
		return err
	}
	lines := bufio.NewReader(io.LimitReader(f, maxAccounts))
	for {
		have, err := lines.ReadString('\n')
		fields := strings.Split(strings.TrimSuffix(have, "\n"), ":")
		if fields[0] == account || len(fields) > 2 && fields[2] == fmt.Sprint(id) {
			return nil
		}
		if err == io.EOF {
			if have != "" { // the last line has no end
				line = "\n" + line
			}
			break
		}
		if err != nil {
			return fmt.Errorf("reading the container's /%s: %w", name, err)
		}
	}
	if _, err := f.WriteString(line); err != nil {
		return fmt.Errorf("adding %q to the container's /%s: %w", account, name, err)
	}
	return nil
}
