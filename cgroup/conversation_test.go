package cgroup

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/godbus/dbus/v5"
)

const job = dbus.ObjectPath("/org/freedesktop/systemd1/job/7")

// server is the other end of conversations: it answers each StartTransientUnit and SetUnitProperties with
// the messages that it is given, or hangs up where there are none.
func server(t *testing.T, answers ...*dbus.Message) socket {
	t.Helper()
	path := filepath.Join(t.TempDir(), "socket")
	listener, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			serve(conn, answers)
			conn.Close()
		}
	}()
	return socket{path, true}
}

func serve(conn net.Conn, answers []*dbus.Message) {
	in := bufio.NewReader(conn)
	for line := ""; line != "BEGIN\r\n"; {
		var err error
		if line, err = in.ReadString('\n'); err != nil {
			return
		}
	}
	io.WriteString(conn, "OK 0123456789abcdef0123456789abcdef\r\n")
	for {
		call, err := dbus.DecodeMessage(in)
		if err != nil {
			return
		}
		reply := &dbus.Message{Type: dbus.TypeMethodReply, Headers: map[dbus.HeaderField]dbus.Variant{}}
		if member := call.Headers[dbus.FieldMember].Value(); member != "StartTransientUnit" && member != "SetUnitProperties" {
			answer(conn, call, reply)
			continue
		}
		if len(answers) == 0 {
			return
		}
		for _, a := range answers {
			answer(conn, call, a)
		}
	}
}

func answer(conn net.Conn, call, m *dbus.Message) {
	if m.Type != dbus.TypeSignal {
		m.Headers[dbus.FieldReplySerial] = dbus.MakeVariant(call.Serial())
	}
	var all bytes.Buffer
	if err := m.EncodeTo(&all, binary.LittleEndian); err != nil {
		panic(err)
	}
	binary.LittleEndian.PutUint32(all.Bytes()[8:], 1)
	conn.Write(all.Bytes())
}

func message(kind dbus.Type, headers map[dbus.HeaderField]string, body ...any) *dbus.Message {
	m := &dbus.Message{Type: kind, Body: body, Headers: map[dbus.HeaderField]dbus.Variant{}}
	for field, value := range headers {
		m.Headers[field] = dbus.MakeVariant(value)
	}
	if kind == dbus.TypeSignal {
		m.Headers[dbus.FieldPath] = dbus.MakeVariant(managerObject)
		m.Headers[dbus.FieldInterface] = dbus.MakeVariant(managerFace)
	}
	if len(body) > 0 {
		m.Headers[dbus.FieldSignature] = dbus.MakeVariant(dbus.SignatureOf(body...))
	}
	return m
}

func removed(path dbus.ObjectPath, result string) *dbus.Message {
	return message(dbus.TypeSignal, map[dbus.HeaderField]string{dbus.FieldMember: jobRemoved}, uint32(7), path, "a.scope", result)
}

func refusal(name string) *dbus.Message {
	return message(dbus.TypeError, map[dbus.HeaderField]string{dbus.FieldErrorName: name}, "so it is")
}

func TestStartScope(t *testing.T) {
	accepted := message(dbus.TypeMethodReply, nil, job)
	noise := message(dbus.TypeSignal, map[dbus.HeaderField]string{dbus.FieldMember: "UnitNew"}, strings.Repeat(jobRemoved, 1000))
	other := removed(job+"0", "failed")
	for name, c := range map[string]struct {
		servers [][]*dbus.Message
		want    string // part of the error; "" for none
		is      error
	}{
		"done":                     {servers: [][]*dbus.Message{{noise, accepted, noise, other, removed(job, "done")}}},
		"told before the answer":   {servers: [][]*dbus.Message{{removed(job, "done"), accepted}}},
		"failed":                   {servers: [][]*dbus.Message{{accepted, removed(job, "failed")}}, want: `starting the scope "a.scope": the service manager says failed`},
		"exists":                   {servers: [][]*dbus.Message{{refusal(managerName + ".UnitExists")}, {accepted, removed(job, "done")}}, is: errUnitExists},
		"refused":                  {servers: [][]*dbus.Message{{refusal("org.freedesktop.DBus.Error.AccessDenied")}}, want: "so it is"},
		"gone":                     {servers: [][]*dbus.Message{{}}, want: "hung up"},
		"a bus without a manager":  {servers: [][]*dbus.Message{{refusal("org.freedesktop.DBus.Error.ServiceUnknown")}, {accepted, removed(job, "done")}}},
		"one that hangs up, first": {servers: [][]*dbus.Message{{}, {accepted, removed(job, "done")}}},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			all := []socket{{filepath.Join(t.TempDir(), "nobody"), true}}
			for _, answers := range c.servers {
				all = append(all, server(t, answers...))
			}
			conn, err := dial(ctx, all)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.close()
			err = startScope(ctx, conn, "a.scope", []property{prop("PIDs", []uint32{1})})
			switch {
			case c.is != nil:
				if !errors.Is(err, c.is) {
					t.Errorf("%v, want %v", err, c.is)
				}
			case c.want == "" && err != nil, c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)):
				t.Errorf("%v, want %q", err, c.want)
			}
		})
	}
}
