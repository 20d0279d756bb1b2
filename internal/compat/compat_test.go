package compat_test

import (
	"bytes"
	"os"
	"testing"

	"github.com/skiff-containers/skiff/cli"
	"github.com/skiff-containers/skiff/internal/compat"
)

// TestEveryCommandAndFlagIsToldOf: none of docker's or podman's is unknown, none of
// skiff's is without a reason, and the page says so.
func TestEveryCommandAndFlagIsToldOf(t *testing.T) {
	docker, podman, err := compat.Compare(cli.Tree())
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile("../../docs/compat.md")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(page, compat.Markdown(docker, podman)) {
		t.Error("docs/compat.md is not what the commands say by now: run `make docs`")
	}
}

// TestTheListsAreWhole: a list that was recorded badly would find nothing missing.
func TestTheListsAreWhole(t *testing.T) {
	for _, c := range []struct {
		list          []compat.Command
		commands, run int
	}{{compat.Docker(), 150, 100}, {compat.PodmanContainers(), 35, 120}} {
		if len(c.list) < c.commands {
			t.Errorf("%d commands, %d at least were expected", len(c.list), c.commands)
		}
		for _, command := range c.list {
			if command.Path == "run" && len(command.Flags) < c.run {
				t.Errorf("run has %d flags, %d at least were expected", len(command.Flags), c.run)
			}
		}
	}
}
