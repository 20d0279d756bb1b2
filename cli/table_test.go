package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/skiff-containers/skiff/run"
	"github.com/skiff-containers/skiff/store"
)

func testContainer() run.Summary {
	now := time.Now()
	return run.Summary{
		Record: &store.Record{
			ID:      strings.Repeat("0123456789abcdef", 4),
			Name:    "brave_otter",
			Created: now.Add(-2 * time.Hour),
			Image:   store.ImageRef{Reference: "alpine@sha256:" + strings.Repeat("a", 64), Platform: "linux/amd64"},
			Path:    "sh",
			Args:    []string{"-c", "while true; do sleep 1; done"},
			Config:  store.Config{Labels: map[string]string{"b": "2", "com.example.team-name": "sea\tfolk"}},
			HostConfig: store.HostConfig{
				NetworkMode: "none",
				Mounts:      []store.Mount{{Type: "bind", Source: "/home/someone/a/long/path", Target: "/data"}, {Type: "tmpfs", Target: "/tmp"}},
			},
		},
		State: &store.State{Status: store.Exited, ExitCode: 3, FinishedAt: now.Add(-3 * time.Minute)},
	}
}

func render(t *testing.T, o *psOptions, rows ...any) string {
	t.Helper()
	var b bytes.Buffer
	if err := o.listing().write(&b, rows); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func TestPs(t *testing.T) {
	short, whole := containerRowOf(testContainer(), false), containerRowOf(testContainer(), true)
	for _, c := range []struct {
		what string
		o    psOptions
		row  *containerRow
		want string
	}{
		{"table", psOptions{}, short, "" +
			"CONTAINER ID   IMAGE     COMMAND                  CREATED       STATUS                     PORTS     NAMES\n" +
			"0123456789ab   alpine    \"sh -c 'while true; …\"   2 hours ago   Exited (3) 3 minutes ago             brave_otter\n"},
		{"quiet", psOptions{quiet: true}, short, "0123456789ab\n"},
		{"quiet wins over the table of config.json", psOptions{quiet: true, format: "table {{.Names}}"}, short, "0123456789ab\n"},
		{"template", psOptions{format: `{{.Names}}\t{{.State}}`}, short, "brave_otter\texited\n"},
		{"label", psOptions{format: `{{.Label "b"}}|{{.Label "com.example.team-name"}}|{{.Label "none"}}`}, short, "2|sea folk|\n"},
		{"labels", psOptions{format: `{{.Labels}}`}, short, "b=2,com.example.team-name=sea folk\n"},
		{"mounts", psOptions{format: `{{.Mounts}}`}, short, "/home/someone/…\n"},
		{"own table", psOptions{format: `table {{upper .Names}}\t{{truncate .ID 4}}\t{{.Label "com.example.team-name"}}`}, short,
			"NAMES         CONTAINER ID   team name\nBRAVE_OTTER   0123           sea folk\n"},
		{"whole", psOptions{format: `{{.ID}} {{.Command}}`}, whole,
			strings.Repeat("0123456789abcdef", 4) + " \"sh -c 'while true; do sleep 1; done'\"\n"},
		{"empty table", psOptions{}, nil, "CONTAINER ID   IMAGE     COMMAND   CREATED   STATUS    PORTS     NAMES\n"},
	} {
		var rows []any
		if c.row != nil {
			rows = append(rows, c.row)
		}
		if got := render(t, &c.o, rows...); got != c.want {
			t.Errorf("%s: got\n%s\nwant\n%s", c.what, got, c.want)
		}
	}
}

func TestPsJSONHasDockersFields(t *testing.T) {
	got := render(t, &psOptions{format: "json"}, containerRowOf(testContainer(), false))
	at := 0
	for _, field := range []string{"Command", "CreatedAt", "ID", "Image", "Labels", "LocalVolumes", "Mounts", "Names", "Networks", "Platform", "Ports", "RunningFor", "Size", "State", "Status"} {
		i := strings.Index(got[at:], `"`+field+`":`)
		if i < 0 {
			t.Fatalf("no %s after %q in %s", field, got[:at], got)
		}
		at += i
	}
	if strings.Count(got, "\n") != 1 {
		t.Errorf("not one line: %q", got)
	}
}

func TestStatusText(t *testing.T) {
	ago := func(d time.Duration) time.Time { return time.Now().Add(-d) }
	for want, s := range map[string]run.Summary{
		"Created":                       {State: &store.State{Status: store.Created}},
		"Up 2 hours":                    {State: &store.State{Status: store.Running, StartedAt: ago(2*time.Hour + time.Minute)}},
		"Up 2 hours (healthy)":          {State: &store.State{Status: store.Running, StartedAt: ago(2*time.Hour + time.Minute)}, Health: store.HealthHealthy},
		"Up 2 hours (health: starting)": {State: &store.State{Status: store.Running, StartedAt: ago(2*time.Hour + time.Minute)}, Health: store.HealthStarting},
		"Up 2 minutes (Paused)":         {State: &store.State{Status: store.Paused, StartedAt: ago(2*time.Minute + time.Second)}},
		"Restarting (1) 3 seconds ago":  {State: &store.State{Status: store.Restarting, ExitCode: 1, FinishedAt: ago(3 * time.Second)}},
		"Up Less than a second":         {State: &store.State{Status: store.Running, StartedAt: ago(0)}},
		"Exited (137) 5 weeks ago":      {State: &store.State{Status: store.Exited, ExitCode: 137, FinishedAt: ago(36 * 24 * time.Hour)}},
		"Exited (0) About an hour ago":  {State: &store.State{Status: store.Exited, FinishedAt: ago(61 * time.Minute)}},
		"Removal In Progress":           {State: &store.State{Status: store.Removing}},
	} {
		if got := statusText(s.State, s.Health); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

// Nothing that a container, an image or a user called something moves the cursor of
// whoever looks at a table.
func TestRowsCannotBreakATable(t *testing.T) {
	c := testContainer()
	evil := "a\x1b[2J\tb\nc\x07"
	c.Record.Config.Labels = map[string]string{"l": evil}
	c.Record.Config.Image, c.Record.Path, c.Record.Args = evil, evil, []string{evil}
	c.Health = evil
	var b bytes.Buffer
	o := psOptions{format: "table {{.Image}}\t{{.Labels}}\t{{.Command}}\t{{.Status}}"}
	if err := o.listing().write(&cleanWriter{&b}, []any{containerRowOf(c, true)}); err != nil {
		t.Fatal(err)
	}
	if strings.ContainsAny(b.String(), "\x1b\x07") || strings.Count(b.String(), "\n") != 2 {
		t.Errorf("got %q", b.String())
	}
	if text := eventText(&store.Event{Type: "container", Action: "create", ID: "x", Attributes: map[string]string{"name": evil}}); strings.ContainsAny(clean(text), "\x1b\x07\n\t") {
		t.Errorf("got %q", text)
	}
}

func TestImages(t *testing.T) {
	image := run.ImageSummary{
		ID: "sha256:" + strings.Repeat("ab", 32), Repository: "busybox", Tag: "latest", Digest: "sha256:" + strings.Repeat("cd", 32),
		Created: time.Now().Add(-49 * time.Hour), Size: 4_421_246,
	}
	for _, c := range []struct {
		o     imagesOptions
		whole bool
		want  string
	}{
		{imagesOptions{}, false, "REPOSITORY   TAG       IMAGE ID       CREATED      SIZE\nbusybox      latest    abababababab   2 days ago   4.42MB\n"},
		{imagesOptions{digests: true, format: ""}, false, "REPOSITORY   TAG       DIGEST                                                                    IMAGE ID       CREATED      SIZE\n" +
			"busybox      latest    " + image.Digest + "   abababababab   2 days ago   4.42MB\n"},
		{imagesOptions{quiet: true}, true, image.ID + "\n"},
		{imagesOptions{format: "{{.Repository}}:{{.Tag}} {{.Platform}}"}, false, "busybox:latest \n"},
	} {
		var b bytes.Buffer
		if err := c.o.listing().write(&b, []any{imageRowOf(image, c.whole)}); err != nil || b.String() != c.want {
			t.Errorf("got\n%s%v, want\n%s", b.String(), err, c.want)
		}
	}
	if row := imageRowOf(run.ImageSummary{Created: time.Unix(0, 0)}, false); row.CreatedSince != "N/A" || row.Repository != "<none>" || row.Tag != "<none>" {
		t.Errorf("an image without name and time: %+v", row)
	}
}

func TestSizeIsOnlyAskedForWhereShown(t *testing.T) {
	for format, want := range map[string]bool{"": false, "json": true, "{{.Size}}": true, "table {{.Names}}": false} {
		if got := (&psOptions{format: format}).listing().uses("Size"); got != want {
			t.Errorf("%q: %v", format, got)
		}
	}
}
