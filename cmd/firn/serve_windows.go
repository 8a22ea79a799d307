package main

import "os"

// inJournal is about systemd.
func inJournal(*os.File) bool { return false }
