package run

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"

	"github.com/skiff-containers/skiff/netns"
	"github.com/skiff-containers/skiff/store"
	"github.com/skiff-containers/skiff/userns"
)

// IsolationOptions are the flags that say which namespaces a container shares, and
// with whom.
type IsolationOptions struct {
	PID         string   // "", "private", "host" or "container:NAME"
	IPC         string   // "", "private", "shareable", "none", "host" or "container:NAME"
	UTS         string   // "", "private" or "host"
	Cgroupns    string   // "", "private" or "host"
	Isolation   string   // "", "default"
	Domainname  string   // NIS domain name
	Annotations []string // KEY=VALUE
	OOMScoreAdj int
}

// modes of namespaces.
const (
	modeHost      = "host"
	modePrivate   = "private"
	modeShareable = "shareable"
	modeNone      = "none"
	modeContainer = "container:"
)

// isolation fills what the record keeps of IsolationOptions.
func (p *plan) isolation(s *store.Store, o *CreateOptions) (err error) {
	h := &p.record.HostConfig
	if h.PidMode, err = namespaceMode(s, "pid", o.PID, modePrivate, modeHost); err != nil {
		return err
	}
	if h.PidMode == modePrivate {
		h.PidMode = ""
	}
	if h.IpcMode, err = namespaceMode(s, "ipc", o.IPC, modePrivate, modeShareable, modeNone, modeHost); err != nil {
		return err
	}
	if h.IpcMode == "" {
		h.IpcMode = modePrivate
	}
	if h.UTSMode, err = oneOf("uts", o.UTS, modePrivate, modeHost); err != nil {
		return err
	}
	if h.UTSMode == modePrivate {
		h.UTSMode = ""
	}
	if h.UTSMode == modeHost && (o.Hostname != "" || o.Domainname != "") {
		return errors.New("conflicting options: hostname and the UTS mode")
	}
	if h.CgroupnsMode, err = oneOf("cgroupns", o.Cgroupns, modePrivate, modeHost); err != nil {
		return err
	}
	if h.CgroupnsMode == "" {
		h.CgroupnsMode = modePrivate
	}
	if o.Isolation != "" && o.Isolation != "default" {
		return &userns.HostError{What: fmt.Sprintf("isolation %q cannot be had: it is of Windows", o.Isolation), Hint: "leave --isolation out: on Linux there is the default only"}
	}
	if h.OomScoreAdj, err = checkOOMScore(o.OOMScoreAdj, ownOOMScore); err != nil {
		return err
	}
	h.Annotations, err = parseAnnotations(o.Annotations)
	return err
}

// namespaceMode reads the value of --pid or --ipc; a container is noted by its id.
func namespaceMode(s *store.Store, flag, value string, words ...string) (string, error) {
	ref, ok := strings.CutPrefix(value, modeContainer)
	if !ok {
		return oneOf(flag, value, append(words, modeContainer+"NAME")...)
	}
	c, err := s.Find(ref)
	if err != nil {
		return "", fmt.Errorf("joining the %s namespace of a container: %w", flag, err)
	}
	if flag == "ipc" {
		if err := shareable(c); err != nil {
			return "", err
		}
	}
	return modeContainer + c.ID, nil
}

// shareable refuses a container that did not agree to have its shared memory joined.
func shareable(c *store.Container) error {
	r, err := c.Record()
	if err != nil {
		return err
	}
	if r.HostConfig.IpcMode == modeShareable {
		return nil
	}
	return &userns.HostError{
		What: fmt.Sprintf("joining the ipc namespace of container %q: it is not shareable", r.Name),
		Hint: "make that container with --ipc shareable",
	}
}

func oneOf(flag, value string, words ...string) (string, error) {
	if value == "" {
		return "", nil
	}
	for _, word := range words {
		if value == word {
			return value, nil
		}
	}
	return "", fmt.Errorf("invalid --%s %q: it is one of %s", flag, value, strings.Join(words, ", "))
}

// checkOOMScore refuses what the kernel would: a score lower than the own one needs
// CAP_SYS_RESOURCE on the host (proc_pid_oom_score_adj(5)), which nobody has in a
// user namespace, root neither. Zero is "as it is".
func checkOOMScore(score int, own func() int) (int, error) {
	if score < -1000 || score > 1000 {
		return 0, fmt.Errorf("invalid value %d, range for oom score adj is [-1000, 1000]", score)
	}
	if score == 0 {
		return 0, nil
	}
	if have := own(); score < have {
		return 0, &userns.HostError{
			What: fmt.Sprintf("the OOM score cannot be lowered to %d: this process has %d, and in a user namespace nobody may lower it", score, have),
			Hint: fmt.Sprintf("use %d or more, or let the service that starts skiff have OOMScoreAdjust=%d", have, score),
		}
	}
	return score, nil
}

func ownOOMScore() int {
	text, err := os.ReadFile("/proc/self/oom_score_adj")
	if err != nil {
		return 0
	}
	n, _ := strconv.Atoi(strings.TrimSpace(string(text)))
	return n
}

func parseAnnotations(pairs []string) (map[string]string, error) {
	if len(pairs) == 0 {
		return nil, nil
	}
	all := make(map[string]string, len(pairs))
	for _, pair := range pairs {
		key, value, _ := strings.Cut(pair, "=")
		if key == "" {
			return nil, fmt.Errorf("parsing annotation %q: it has no name", pair)
		}
		all[key] = value
	}
	return all, nil
}

// fullName is the host name with the domain, as /etc/hosts has it.
func fullName(c *store.Config) string {
	if c.Domainname == "" || c.Hostname == "" {
		return c.Hostname
	}
	return c.Hostname + "." + c.Domainname
}

// hostnameShared tells whether the container has the host's own name.
func hostnameShared(o *CreateOptions, mode netns.Mode) bool {
	return o.UTS == modeHost || mode == netns.Host
}
