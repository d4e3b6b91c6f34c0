// Copyright (c) 2026 nodeforge.kic contributors
// GNU General Public License v3.0+ (see LICENSES/GPL-3.0-or-later.txt or https://www.gnu.org/licenses/gpl-3.0.txt)
// SPDX-License-Identifier: GPL-3.0-or-later

// The workload of the tests: a web server that keeps files, and its client, in one static program.
//
//	web serve           answers GET /NAME with the content of /data/NAME (or a greeting), PUT /NAME stores it
//	web get URL         prints the answer
//	web put URL TEXT    stores the text
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

const data = "/data"

func answer(w http.ResponseWriter, r *http.Request) {
	name := filepath.Join(data, filepath.Base(r.URL.Path))
	if r.Method == http.MethodPut {
		body, err := io.ReadAll(r.Body)
		if err == nil {
			err = os.WriteFile(name, body, 0o644)
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
		return
	}
	if content, err := os.ReadFile(name); err == nil {
		w.Write(content)
		return
	}
	host, _ := os.Hostname()
	fmt.Fprintf(w, "hello from %s to %s\n", host, r.RemoteAddr)
}

func request(method, url, body string) error {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	found, err := (&http.Client{Timeout: 5 * time.Second}).Do(r)
	if err != nil {
		return err
	}
	defer found.Body.Close()
	if _, err := io.Copy(os.Stdout, found.Body); err != nil {
		return err
	}
	if found.StatusCode != http.StatusOK {
		return fmt.Errorf("%s", found.Status)
	}
	return nil
}

func run(arguments []string) error {
	switch {
	case len(arguments) == 1 && arguments[0] == "serve":
		fmt.Println("serving")
		return http.ListenAndServe(":8080", http.HandlerFunc(answer))
	case len(arguments) == 2 && arguments[0] == "get":
		return request(http.MethodGet, arguments[1], "")
	case len(arguments) == 3 && arguments[0] == "put":
		return request(http.MethodPut, arguments[1], arguments[2])
	}
	return fmt.Errorf("usage: web serve | get URL | put URL TEXT")
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
