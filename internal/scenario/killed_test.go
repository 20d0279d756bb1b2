package scenario

import (
	"fmt"
	"strings"
	"testing"
)

// The helper is killed. Connections between containers do not notice; before long
// the world is reached again, names resolve, and ports answer, the random one at
// the same number.
func TestTheHelperIsKilled(t *testing.T) {
	worldServer(t, "192.0.2.1:7002")
	m := newMachine(t)
	m.skiff("network", "create", "one")
	m.run("web", []string{"--network", "one", "-p", "8124:80", "-p", "80"}, "serve")
	m.run("box", []string{"--network", "one"}, "hold", "web:7")
	held := func() int { return strings.Count(m.skiff("logs", "box"), "held") }
	m.eventually("holding a connection", func() error {
		if held() < 3 {
			return fmt.Errorf("nothing is held: %s", m.skiff("logs", "box"))
		}
		return nil
	})
	ports := m.skiff("port", "web")
	for round := range 5 {
		m.killHelper()
		m.eventually("reaching the world again", func() error {
			_, err := m.inside("web", "tcp", "192.0.2.1:7002")
			return err
		})
		m.eventually("resolving again", func() error {
			_, err := m.inside("box", "tcp", "web:80")
			return err
		})
		m.eventually("being reached again", func() error {
			answer, err := fromWorld("tcp", "192.0.2.2", "192.0.2.10:8124")
			if err == nil && !strings.HasPrefix(answer, "192.0.2.2:") {
				t.Errorf("the client is seen as %s", answer)
			}
			return err
		})
		if now := m.skiff("port", "web"); now != ports {
			t.Errorf("round %d: the ports were\n%s\nand are\n%s", round, ports, now)
		}
		count := held()
		m.eventually("holding the connection", func() error {
			if state := m.skiff("inspect", "-f", "{{.State.Status}}", "box"); state != "running" {
				t.Fatalf("the connection between the containers broke: %s", m.skiff("logs", "box"))
			}
			if held() <= count {
				return fmt.Errorf("nothing comes any more")
			}
			return nil
		})
	}
}

// A helper that a container's shim has started anew is no process of that container, also
// where those are found among the shim's children: neither its pause nor its end concern it.
func TestAHelperOfAShimOutlivesItsContainer(t *testing.T) {
	worldServer(t, "192.0.2.1:7003")
	m := newMachine(t)
	m.run("web", []string{"--pid", "host"}, "serve")
	m.killHelper()
	reached := func(from string) func() error {
		return func() error {
			_, err := m.inside(from, "tcp", "192.0.2.1:7003")
			return err
		}
	}
	m.eventually("reaching the world again", reached("web"))
	helper := m.helper()
	m.run("box", nil, "serve")
	m.skiff("pause", "web")
	m.eventually("reaching the world beside a paused container", reached("box"))
	m.skiff("unpause", "web")
	m.skiff("rm", "-f", "-t", "0", "web")
	m.eventually("reaching the world after its end", reached("box"))
	if now := m.helper(); now != helper {
		t.Errorf("the helper was process %d, and is %d", helper, now)
	}
}
