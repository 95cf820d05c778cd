// admin CLIENT BOOTSTRAP TAG: every call of a client library's interface for administration that is not about security,
// one after the other, each with its result as a line of JSON. CLIENT is kadm or sarama. A call that fails where it should
// not ends it with an error. What differs from run to run (names, times, ids, sizes) is replaced, so that the lines of
// two brokers can be compared.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
)

var (
	tag    string
	failed int
)

var volatile = []struct {
	pattern *regexp.Regexp
	text    string
}{
	{regexp.MustCompile(`"(?:Dir|Path|path)":"[^"]*"`), `"Dir":"DIR"`},
	{regexp.MustCompile(`"\d+:/[^"]*"|"/[^"]*"`), `"DIR"`},
	{regexp.MustCompile(`"(ID|TopicID|Uuid|TopicUUID)":(\[[^\]]*\]|"[^"]*")`), `"$1":"ID"`},
	{regexp.MustCompile(`"(\w*Size|\w*Bytes|\w*Port|\w*Timestamp|\w*At\w*|\w*Millis|ProducerID|FinalizedFeaturesEpoch|\w*LeaderEpoch)":-?\d+`), `"$1":0`},
	{regexp.MustCompile(`\d{13,}`), "TIME"},
	{regexp.MustCompile(`127\.0\.0\.1:\d+`), "ADDRESS"},
}

// show prints a result, and counts an error that is not among those that are right.
func show(call string, result any, err error, right ...string) {
	text := ""
	if err != nil {
		text = err.Error()
	}
	expected := err == nil && len(right) == 0
	for _, part := range right {
		expected = expected || err != nil && strings.Contains(text, part)
	}
	bytes, jsonErr := json.Marshal(result)
	if jsonErr != nil {
		bytes = []byte(fmt.Sprintf("%q", fmt.Sprint(result)))
	}
	line := strings.ReplaceAll(string(bytes), tag, "TAG")
	for _, v := range volatile {
		line = v.pattern.ReplaceAllString(line, v.text)
	}
	if len(line) > 2000 {
		line = line[:2000]
	}
	if err != nil {
		line += " " + strings.ReplaceAll(text, tag, "TAG")
	}
	if !expected {
		failed++
		line = "UNEXPECTED " + line
	}
	fmt.Printf("%s %s\n", call, line)
}

// whole is the error of a result or, if it is a map or list, the first one within it.
func whole(result any, err error) error {
	if err != nil {
		return err
	}
	return within(reflect.ValueOf(result))
}

func within(value reflect.Value) error {
	switch value.Kind() {
	case reflect.Map:
		for _, key := range value.MapKeys() {
			if err := within(value.MapIndex(key)); err != nil {
				return err
			}
		}
	case reflect.Slice:
		for i := 0; i < value.Len(); i++ {
			if err := within(value.Index(i)); err != nil {
				return err
			}
		}
	case reflect.Pointer, reflect.Interface:
		if !value.IsNil() {
			return within(value.Elem())
		}
	case reflect.Struct:
		for i := 0; i < value.NumField(); i++ {
			field := value.Field(i)
			if !value.Type().Field(i).IsExported() {
				continue
			}
			if value.Type().Field(i).Name == "Err" && field.Type().String() == "error" && !field.IsNil() {
				return field.Interface().(error)
			}
			if kind := field.Kind(); kind == reflect.Map || kind == reflect.Slice {
				if err := within(field); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func main() {
	if len(os.Args) != 4 {
		fmt.Fprintln(os.Stderr, "admin kadm|sarama BOOTSTRAP TAG")
		os.Exit(2)
	}
	tag = os.Args[3]
	switch os.Args[1] {
	case "kadm":
		kadmCalls(os.Args[2])
	case "sarama":
		saramaCalls(os.Args[2])
	}
	if failed > 0 {
		fmt.Fprintf(os.Stderr, "%d calls did not do what they should\n", failed)
		os.Exit(1)
	}
}
