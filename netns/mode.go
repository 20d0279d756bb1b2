package netns

import "strings"

// Mode is HostConfig.NetworkMode: the first network of a container, or what it has
// in place of networks. Beside the constants it is the name of a network,
// "container:<id>", "ns:<path>", "pasta[:options]" or "slirp4netns[:options]".
type Mode string

const (
	Bridge Mode = "bridge" // the network of that name, which every store has
	None   Mode = "none"   // a network namespace of its own with the loopback interface up
	Host   Mode = "host"   // the host's network namespace
)

// Default is the mode where nobody asks for one.
const Default = Bridge

// The kinds of modes that carry something after a colon.
const (
	kindContainer = "container"
	kindPath      = "ns"
	kindPasta     = "pasta"
	kindSlirp     = "slirp4netns"
)

// kind is the word before the colon of a mode that has one of the kinds above.
func (m Mode) kind() (kind, rest string) {
	kind, rest, _ = strings.Cut(string(m), ":")
	switch kind {
	case kindContainer, kindPath, kindPasta, kindSlirp:
		return kind, rest
	}
	return "", ""
}

// Container is the container whose network namespace is shared: an id, or what the
// user wrote where the mode was just parsed. Empty in other modes.
func (m Mode) Container() string {
	if kind, rest := m.kind(); kind == kindContainer {
		return rest
	}
	return ""
}

// Path is a network namespace's file that the container joins; empty in other modes.
func (m Mode) Path() string {
	if kind, rest := m.kind(); kind == kindPath {
		return rest
	}
	return ""
}

// Driver is the other program that connects the container, "pasta" or
// "slirp4netns", with its options as text; empty in other modes.
func (m Mode) Driver() (name, options string) {
	if kind, rest := m.kind(); kind == kindPasta || kind == kindSlirp {
		return kind, rest
	}
	return "", ""
}

// Private tells whether the container has a network namespace of its own.
func (m Mode) Private() bool { return m != Host && m.Container() == "" && m.Path() == "" }

// Networks tells whether the container is in networks of skiff's.
func (m Mode) Networks() bool {
	kind, _ := m.kind()
	return m != None && m != Host && kind == ""
}

// Served tells whether the network helper has a part in the mode.
func (m Mode) Served() bool {
	driver, _ := m.Driver()
	return m.Networks() || driver != ""
}

// driverOptions are the options of a mode as the helper takes them: pasta has
// arguments of its own, kept as one text under "args"; slirp4netns has name=value.
func driverOptions(driver, text string) map[string]string {
	if text == "" {
		return nil
	}
	if driver == kindPasta {
		return map[string]string{"args": text}
	}
	all := map[string]string{}
	for option := range strings.SplitSeq(text, ",") {
		name, value, _ := strings.Cut(option, "=")
		all[name] = value
	}
	return all
}
