package registry

import (
	"context"
	"testing"
)

func TestPull(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"busybox", "oci", "zstd", "plain", "layers", "many", "twice", "whiteouts", "users", "multi", "scratch"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStore(t)
			told := &events{}
			img, err := Pull(context.Background(), s, PullOptions{Reference: served(t) + "/" + name, TLSVerify: true, Progress: told})
			if err != nil {
				t.Fatalf("%v\n%v", err, told)
			}
			t.Logf("%+v\n%v", img, told)
		})
	}
}

func childStages() map[string]func() int { return nil }
