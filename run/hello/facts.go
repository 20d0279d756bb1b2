package hello

import (
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// StartedVariable is the environment variable that holds when the command began
// that started the container, in nanoseconds since the epoch.
const StartedVariable = "SKIFF_STARTED"

// fact is one line of what the container sees of itself.
type fact struct {
	label string
	value string
	good  bool // something that keeps the container apart from the host
}

// facts looks around. What cannot be seen is left out.
func facts(now time.Time) []fact {
	status := readStatus()
	var all []fact
	add := func(label, value string, good bool) {
		if value != "" {
			all = append(all, fact{label, value, good})
		}
	}
	add("user", user(), os.Geteuid() == 0 && idMapped())
	add("id map", idMap("/proc/self/uid_map"), idMapped())
	own, shared := namespaces()
	add("namespaces", strings.Join(own, ", "), true)
	add("of the host", strings.Join(shared, ", "), false)
	add("root", rootFS(), true)
	add("processes", processes(), os.Getpid() == 1)
	add("capabilities", capabilities(status["CapEff"]), true)
	add("seccomp", seccomp(status), status["Seccomp"] == "2")
	add("privileges", privileges(status), status["NoNewPrivs"] == "1")
	add("network", network(), true)
	add("limits", limits(), true)
	add("cgroup", cgroup(), true)
	add("kernel", kernel(), true)
	add("started in", startedIn(now), true)
	return all
}

// readStatus reads proc_pid_status(5).
func readStatus() map[string]string {
	data, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return nil
	}
	status := map[string]string{}
	for line := range strings.Lines(string(data)) {
		if key, value, ok := strings.Cut(line, ":"); ok {
			status[key] = strings.TrimSpace(value)
		}
	}
	return status
}

func user() string {
	uid, gid := os.Geteuid(), os.Getegid()
	text := fmt.Sprintf("%d:%d", uid, gid)
	if uid == 0 {
		text = "root (0:" + strconv.Itoa(gid) + ")"
	}
	if outside, ok := outsideID(uid); ok && idMapped() {
		text += " in here, " + owner(outside) + " outside"
	}
	return text
}

// owner says whose an id is in the user namespace above the container's, skiff's own:
// which number of the host that is cannot be seen from here.
func owner(id int) string {
	if id == 0 {
		return "you"
	}
	return fmt.Sprintf("your subordinate id %d", id)
}

// idRange is a line of user_namespaces(7)'s uid_map.
type idRange struct{ inside, outside, size int }

func idRanges(path string) (all []idRange) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		var r idRange
		if n, _ := fmt.Sscan(line, &r.inside, &r.outside, &r.size); n == 3 {
			all = append(all, r)
		}
	}
	return all
}

func outsideID(id int) (int, bool) {
	for _, r := range idRanges("/proc/self/uid_map") {
		if id >= r.inside && id-r.inside < r.size {
			return r.outside + id - r.inside, true
		}
	}
	return 0, false
}

// idMapped tells whether this is a user namespace other than the first.
func idMapped() bool {
	all := idRanges("/proc/self/uid_map")
	return len(all) != 1 || all[0] != idRange{0, 0, 1<<32 - 1}
}

func idMap(path string) string {
	var parts []string
	for _, r := range idRanges(path) {
		if r.size == 1 {
			parts = append(parts, fmt.Sprintf("%d → %d", r.inside, r.outside))
		} else {
			parts = append(parts, fmt.Sprintf("%d…%d → %d…%d", r.inside, r.inside+r.size-1, r.outside, r.outside+r.size-1))
		}
	}
	return strings.Join(parts, ", ")
}

// namespaces tells those of its own from those of the machine, whose numbers the
// kernel fixes (include/uapi/linux/nsfs.h; the network's and the mounts' before Linux 6.18
// are the first two that are given out).
func namespaces() (own, shared []string) {
	first := map[string][]string{
		"cgroup": {"4026531835"}, "ipc": {"4026531839"}, "mnt": {"4026531841", "4026531840", "4026531832"},
		"net": {"4026531840", "4026531833", "4026531992"}, "pid": {"4026531836"}, "user": {"4026531837"}, "uts": {"4026531838"},
	}
	words := map[string]string{"mnt": "mounts", "net": "network", "pid": "processes", "user": "users", "uts": "hostname"}
	for _, name := range []string{"user", "mnt", "pid", "net", "ipc", "uts", "cgroup"} {
		link, err := os.Readlink("/proc/self/ns/" + name)
		if err != nil {
			continue
		}
		number := strings.Trim(strings.TrimPrefix(link, name+":"), "[]")
		word := words[name]
		if word == "" {
			word = name
		}
		if contains(first[name], number) {
			shared = append(shared, word)
		} else {
			own = append(own, word)
		}
	}
	return own, shared
}

func contains(all []string, one string) bool {
	for _, a := range all {
		if a == one {
			return true
		}
	}
	return false
}

// rootFS is the kind of file system at "/", from mountinfo (proc_pid_mountinfo(5)).
func rootFS() string {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return ""
	}
	kind := ""
	for line := range strings.Lines(string(data)) {
		before, after, _ := strings.Cut(line, " - ")
		fields := strings.Fields(before)
		if len(fields) > 4 && fields[4] == "/" {
			kind, _, _ = strings.Cut(after, " ")
		}
	}
	if unix.Access("/", unix.W_OK) == nil {
		return kind + ", writable"
	}
	return kind + ", read-only"
}

func processes() string {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return ""
	}
	n := 0
	for _, e := range entries {
		if _, err := strconv.Atoi(e.Name()); err == nil {
			n++
		}
	}
	if n == 1 {
		return fmt.Sprintf("only this one, number %d", os.Getpid())
	}
	return fmt.Sprintf("%d, this is number %d", n, os.Getpid())
}

func network() string {
	all, err := net.Interfaces()
	if err != nil {
		return ""
	}
	var parts []string
	for _, i := range all {
		text := i.Name
		addresses, _ := i.Addrs()
		for _, a := range addresses {
			if ip, ok := a.(*net.IPNet); ok && (!ip.IP.IsLinkLocalUnicast() || len(addresses) == 1) {
				text += " " + a.String()
			}
		}
		if i.Flags&net.FlagUp == 0 {
			text += " (down)"
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func limits() string {
	show := func(resource int, name string) string {
		var l unix.Rlimit
		if unix.Getrlimit(resource, &l) != nil {
			return ""
		}
		if l.Max == unix.RLIM_INFINITY { // not Cur, which the Go runtime has raised for this program
			return name + " unlimited"
		}
		return name + " up to " + strconv.FormatUint(l.Max, 10)
	}
	return show(unix.RLIMIT_NOFILE, "open files") + ", " + show(unix.RLIMIT_NPROC, "processes")
}

// cgroup is the path in the unified hierarchy, and its limit of memory.
func cgroup() string {
	data, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return ""
	}
	for line := range strings.Lines(string(data)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok {
			if limit, err := os.ReadFile("/sys/fs/cgroup/memory.max"); err == nil {
				return path + ", memory " + strings.TrimSpace(string(limit))
			}
			return path
		}
	}
	return ""
}

func kernel() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:]) + " on " + unix.ByteSliceToString(name.Machine[:])
}

// maxStart is the longest start that is believed: the variable stays the same when
// a container is started a second time.
const maxStart = time.Minute

func startedIn(now time.Time) string {
	n, err := strconv.ParseInt(os.Getenv(StartedVariable), 10, 64)
	if err != nil {
		return ""
	}
	took := now.Sub(time.Unix(0, n))
	if took <= 0 || took > maxStart {
		return ""
	}
	return fmt.Sprintf("%.1f ms, from the command to these words", float64(took.Microseconds())/1000)
}
