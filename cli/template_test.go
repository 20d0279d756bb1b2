package cli

import (
	"bytes"
	"testing"
)

func TestTemplateFunctions(t *testing.T) {
	data := map[string]any{
		"Words": []string{"b", "a"},
		"Any":   []any{1, "x"},
		"Map":   map[string]string{"k": "v", "l": "u"},
		"Name":  "/web-1 of two",
		"Nil":   nil,
		"HTML":  "<none>",
	}
	for _, c := range []struct{ template, want string }{
		{`{{json .Words}}`, `["b","a"]`},
		{`{{json .HTML}}`, `"<none>"`},
		{`{{json .Nil}}`, `null`},
		{`{{join .Words ", "}}`, `b, a`},
		{`{{join .Any "+"}}`, `1+x`},
		{`{{join .Map ","}}`, `u,v`},
		{`{{join .Nil ","}}`, ``},
		{`{{range split .Name " "}}[{{.}}]{{end}}`, `[/web-1][of][two]`},
		{`{{title .Name}}`, `/Web-1 Of Two`},
		{`{{upper .Name}}{{lower "ABC"}}`, `/WEB-1 OF TWOabc`},
		{`{{pad "x" 1 2}}|{{pad "" 1 2}}|`, ` x  ||`},
		{`{{truncate .Name 4}}|{{truncate "ab" 4}}`, `/web|ab`},
		{`{{println .HTML}}`, "<none>\n"},
		{`a\tb\nc`, "a\tb\nc"},
	} {
		tmpl, err := parseTemplate(c.template)
		if err != nil {
			t.Errorf("%s: %v", c.template, err)
			continue
		}
		var got bytes.Buffer
		if err := tmpl.Execute(&got, data); err != nil || got.String() != c.want {
			t.Errorf("%s: got %q, %v; want %q", c.template, got.String(), err, c.want)
		}
	}
}

func TestTitleIsStringsTitle(t *testing.T) {
	for in, want := range map[string]string{"": "", "hello world": "Hello World", "it's a_b c-d": "It's A_b C-D", "éa": "Éa"} {
		if got := title(in); got != want {
			t.Errorf("title(%q) = %q", in, got)
		}
	}
}

func TestInspectTemplatesSeeFieldsAndJSON(t *testing.T) {
	object := struct {
		ID    string `json:"Id"`
		State struct{ Pid int }
	}{ID: "abc"}
	object.State.Pid = 1234567890123456
	for template, want := range map[string]string{
		`{{.ID}} {{.State.Pid}}`:    "abc 1234567890123456\n",
		`{{.Id}} {{.State.Pid}}`:    "abc 1234567890123456\n",
		`{{println .Id}}`:           "abc\n",
		`{{if eq .Id "x"}}y{{end}}`: "\n",
	} {
		p, stdout, _ := testProgram(t)
		if err := p.printFormat(template, object); err != nil || stdout() != want {
			t.Errorf("%s: got %q, %v", template, stdout(), err)
		}
	}
	p, _, _ := testProgram(t)
	if err := p.printFormat(`{{.Nonesuch}}`, object); err == nil {
		t.Error("a field that does not exist is no error")
	}
}
