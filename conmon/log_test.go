package conmon

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

type logRecord struct {
	Log    string    `json:"log"`
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// readLog returns the records of a log, the oldest file first.
func readLog(t *testing.T, dir string) (records []logRecord) {
	t.Helper()
	for i := 20; i >= 0; i-- {
		path := filepath.Join(dir, logName)
		if i > 0 {
			path += "." + strconv.Itoa(i)
		}
		data, err := os.ReadFile(path)
		if os.IsNotExist(err) {
			continue
		}
		lines := bufio.NewScanner(bytes.NewReader(data))
		lines.Buffer(nil, 1<<20)
		for lines.Scan() {
			var r logRecord
			if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
				t.Fatalf("parsing %q: %v", lines.Text(), err)
			}
			records = append(records, r)
		}
	}
	return records
}

func openTestLog(t *testing.T, options map[string]string) (*logWriter, string) {
	t.Helper()
	dir := t.TempDir()
	l, err := openLog(dir, options)
	if err != nil {
		t.Fatal(err)
	}
	return l, dir
}

func TestLogKeepsLinesWholeHoweverTheyArrive(t *testing.T) {
	t.Parallel()
	l, dir := openTestLog(t, nil)
	l.write("stdout", []byte("one\ntw"))
	l.write("stderr", []byte("other\n"))
	l.write("stdout", []byte("o\nthree"))
	l.close()
	var got []string
	for _, r := range readLog(t, dir) {
		got = append(got, r.Stream+":"+r.Log)
	}
	want := []string{"stdout:one\n", "stderr:other\n", "stdout:two\n", "stdout:three"}
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("records %q, want %q", got, want)
	}
}

func TestLogSplitsLongLinesAndLosesNoByte(t *testing.T) {
	t.Parallel()
	l, dir := openTestLog(t, nil)
	var sent bytes.Buffer
	for range 200 {
		chunk := bytes.Repeat([]byte{byte('a' + rand.IntN(26))}, 1+rand.IntN(9000))
		if rand.IntN(3) == 0 {
			chunk = append(chunk, '\n')
		}
		sent.Write(chunk)
		l.write("stdout", chunk)
	}
	l.close()
	var got strings.Builder
	for _, r := range readLog(t, dir) {
		if len(r.Log) > maxLine {
			t.Fatalf("record of %d bytes, the limit is %d", len(r.Log), maxLine)
		}
		got.WriteString(r.Log)
	}
	if got.String() != sent.String() {
		t.Errorf("log holds %d bytes, %d were sent, or they differ", got.Len(), sent.Len())
	}
}

func TestLogRotationKeepsTheNewestLinesWithoutAGap(t *testing.T) {
	t.Parallel()
	l, dir := openTestLog(t, map[string]string{"max-size": "4096", "max-file": "3"})
	const lines = 500
	for i := range lines {
		l.write("stdout", fmt.Appendf(nil, "line %d\n", i))
	}
	l.close()
	records := readLog(t, dir)
	if len(records) == 0 || len(records) == lines {
		t.Fatalf("%d records, want some and not all %d", len(records), lines)
	}
	for i, r := range records {
		if want := fmt.Sprintf("line %d\n", lines-len(records)+i); r.Log != want {
			t.Fatalf("record %d is %q, want %q", i, r.Log, want)
		}
	}
	for i, name := range []string{"log", "log.1", "log.2", "log.3"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if (err == nil) != (i < 3) {
			t.Errorf("file %s: %v", name, err)
		}
		if err == nil && info.Size() > 4096 {
			t.Errorf("file %s has %d bytes, the limit is 4096", name, info.Size())
		}
	}
}

func TestLogWithOneFileStartsAnew(t *testing.T) {
	t.Parallel()
	l, dir := openTestLog(t, map[string]string{"max-size": "300", "max-file": "1"})
	for i := range 50 {
		l.write("stdout", fmt.Appendf(nil, "line %d\n", i))
	}
	l.close()
	records := readLog(t, dir)
	if len(records) == 0 || records[len(records)-1].Log != "line 49\n" {
		t.Errorf("records %v, want the newest line last", records)
	}
}

func FuzzLogEscapesLikeJSON(f *testing.F) {
	for _, seed := range []string{"", "plain\n", "\x00\x1b[31m\"\\<>&", "\xff\xfe", "\u2028é\U0001f433", "\r\t\x7f"} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		text := append(append([]byte{'"'}, appendJSON(nil, data)...), '"')
		var got string
		if err := json.Unmarshal(text, &got); err != nil {
			t.Fatalf("%q is no JSON string: %v", text, err)
		}
		if want := strings.ToValidUTF8(string(data), "\ufffd"); len(want) == len(got) && want != got {
			t.Fatalf("%q came back as %q", data, got)
		}
	})
}
