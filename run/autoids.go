package run

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
	"golang.org/x/sys/unix"
)

// smallestAuto is how many ids --userns auto gives at least, as podman's does.
const smallestAuto = 1024

// nobody is the number that stands for no user in most images; it is none to count up to.
const nobody = 65534

// autoIDs gives the container ids that no other container of that kind has.
func (p *plan) autoIDs(s *store.Store, options string, img *store.Image) error {
	var uids, gids []userns.IDMap
	var size uint32
	if options != "" {
		for option := range strings.SplitSeq(options, ",") {
			key, value, _ := strings.Cut(option, "=")
			var err error
			switch key {
			case "size":
				var n uint64
				n, err = strconv.ParseUint(value, 10, 32)
				size = uint32(n)
				if err == nil && n == 0 {
					err = fmt.Errorf("it must be more than 0")
				}
			case "uidmapping":
				uids, err = appendMap(uids, value)
			case "gidmapping":
				gids, err = appendMap(gids, value)
			default:
				err = fmt.Errorf("there is no such option: size, uidmapping and gidmapping are possible")
			}
			if err != nil {
				return fmt.Errorf("--userns %s: %q: %w", modeAuto, option, err)
			}
		}
	}
	haveUIDs, haveGIDs, m, err := available()
	if err == nil {
		err = needsRange(m, modeAuto)
	}
	if err != nil {
		return err
	}
	if os.Geteuid() == 0 && len(m.UIDs) == 1 {
		return &userns.HostError{What: "--userns auto needs ids that are nobody else's, and root has no range of its own",
			Hint: "usermod --add-subuids 2147483648-2147549183 --add-subgids 2147483648-2147549183 root"}
	}
	if size == 0 {
		size = max(smallestAuto, highestID(s, img)+1)
	}
	if p.reserved, err = s.ReserveIDs(size, 1, min(haveUIDs, haveGIDs)); err != nil {
		return err
	}
	return p.setMapping(around(uids, p.reserved.Start, size), around(gids, p.reserved.Start, size))
}

func appendMap(maps []userns.IDMap, text string) ([]userns.IDMap, error) {
	m, err := store.ParseIDMap(text)
	return append(maps, m), err
}

// around fills the ids from 0 to size that fixed does not name with those from start on.
func around(fixed []userns.IDMap, start, size uint32) []userns.IDMap {
	maps := fixed[:len(fixed):len(fixed)]
	for id := uint32(0); id < size; {
		end := size
		skip := uint32(0)
		for _, f := range fixed {
			if id >= f.Inside && id < f.Inside+f.Size {
				skip = f.Inside + f.Size - id
			} else if f.Inside > id {
				end = min(end, f.Inside)
			}
		}
		if skip > 0 {
			id += skip
			continue
		}
		maps = append(maps, userns.IDMap{Inside: id, Outside: start + id, Size: end - id})
		id = end
	}
	return maps
}

// highestID is the highest id of the users and groups that an image knows. What
// cannot be read counts for nothing.
func highestID(s *store.Store, img *store.Image) (highest uint32) {
	for _, name := range []string{"etc/passwd", "etc/group"} {
		for i := len(img.Layers) - 1; i >= 0; i-- {
			layer, err := os.OpenRoot(s.LayerPath(img.Layers[i]))
			if err != nil {
				continue
			}
			f, err := layer.OpenFile(name, os.O_RDONLY|unix.O_NONBLOCK, 0) // a pipe would wait for a writer
			layer.Close()
			if err != nil {
				continue
			}
			if info, err := f.Stat(); err == nil && info.Mode().IsRegular() {
				highest = max(highest, highestIn(f))
			}
			f.Close()
			break
		}
	}
	if n, err := strconv.ParseUint(strings.TrimRight(strings.SplitN(img.Config.User, ":", 2)[0], " "), 10, 32); err == nil {
		highest = max(highest, uint32(n))
	}
	return highest
}

// highestIn reads passwd(5) or group(5): both have an id in their third field.
func highestIn(f io.Reader) (highest uint32) {
	for lines := bufio.NewScanner(io.LimitReader(f, 1<<20)); lines.Scan(); {
		fields := strings.Split(lines.Text(), ":")
		if len(fields) < 3 {
			continue
		}
		if n, err := strconv.ParseUint(fields[2], 10, 32); err == nil && n != nobody && n < 1<<31 {
			highest = max(highest, uint32(n))
		}
		if len(fields) > 6 {
			if n, err := strconv.ParseUint(fields[3], 10, 32); err == nil && n != nobody && n < 1<<31 {
				highest = max(highest, uint32(n))
			}
		}
	}
	return highest
}
