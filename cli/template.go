package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"reflect"
	"sort"
	"strings"
	"text/template"
	"unicode"
)

// templateFunctions are the functions that Docker's --format knows beside those of
// text/template, such as println (docs.docker.com/go/formatting).
func templateFunctions() template.FuncMap {
	return template.FuncMap{
		"json":     compactJSON,
		"join":     join,
		"split":    strings.Split,
		"title":    title,
		"lower":    strings.ToLower,
		"upper":    strings.ToUpper,
		"pad":      pad,
		"truncate": truncate,
	}
}

// headerFunctions stand in for them when the heading of a table is made: a
// column's name goes through untouched.
func headerFunctions() template.FuncMap {
	same := func(v string) string { return v }
	sameString := func(v string, _ string) string { return v }
	return template.FuncMap{
		"json": same, "title": same, "lower": same, "upper": same,
		"join": sameString, "split": sameString,
		"truncate": func(v string, _ int) string { return v },
	}
}

// parseTemplate reads a template as the user typed it: \t and \n stand for tab and newline.
func parseTemplate(text string) (*template.Template, error) {
	text = strings.NewReplacer(`\t`, "\t", `\n`, "\n").Replace(text)
	t, err := template.New("").Funcs(templateFunctions()).Parse(text)
	if err != nil {
		return nil, fmt.Errorf("parsing the template of --format: %w", err)
	}
	return t, nil
}

func compactJSON(v any) (string, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return "", err
	}
	return strings.TrimSpace(b.String()), nil
}

// join takes lists of any kind, and the values of maps in their order as text.
func join(list any, separator string) (string, error) {
	v := reflect.ValueOf(list)
	var words []string
	switch v.Kind() {
	case reflect.Invalid:
	case reflect.Slice, reflect.Array:
		for i := range v.Len() {
			words = append(words, fmt.Sprint(v.Index(i).Interface()))
		}
	case reflect.Map:
		for _, key := range v.MapKeys() {
			words = append(words, fmt.Sprint(v.MapIndex(key).Interface()))
		}
		sort.Strings(words)
	default:
		return "", fmt.Errorf("expected a list, got %T", list)
	}
	return strings.Join(words, separator), nil
}

func title(text string) string {
	before := ' '
	return strings.Map(func(r rune) rune {
		start := !unicode.IsLetter(before) && !unicode.IsDigit(before) && before != '_' && before != '\''
		before = r
		if start {
			return unicode.ToTitle(r)
		}
		return r
	}, text)
}

func pad(text string, before, after int) string {
	if text == "" {
		return ""
	}
	return strings.Repeat(" ", max(before, 0)) + text + strings.Repeat(" ", max(after, 0))
}

func truncate(text string, length int) string {
	if length < 0 || len(text) < length {
		return text
	}
	return text[:length]
}
