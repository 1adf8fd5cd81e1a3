package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"strings"
)

func completionCommand() command {
	return command{
		name: "completion", args: "bash|zsh|fish",
		line: "print a shell's completion script",
		text: `
Prints a script that completes commands and flags.

  source <(millrace completion bash)        # in ~/.bashrc; zsh alike, in ~/.zshrc after compinit
  millrace completion fish | source         # in ~/.config/fish/config.fish
`,
		flags: func(*flag.FlagSet) action {
			return func(_ context.Context, args []string, to streams) error {
				if len(args) != 1 {
					return usageError{"name a shell: bash, zsh or fish"}
				}
				write := map[string]func() string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[args[0]]
				if write == nil {
					return usageError{fmt.Sprintf("%q is not bash, zsh or fish", args[0])}
				}
				_, err := io.WriteString(to.out, write())
				return err
			}
		},
	}
}

// flagNames returns the names of a command's flags, with their dash.
func (c command) flagNames() (names []string) {
	fs, _ := c.flagSet()
	fs.VisitAll(func(f *flag.Flag) { names = append(names, "-"+f.Name) })
	return names
}

func bashCompletion() string {
	var b strings.Builder
	names := []string{"help"}
	for _, c := range commands() {
		names = append(names, c.name)
	}
	fmt.Fprintf(&b, "_millrace() {\n\tlocal word=${COMP_WORDS[COMP_CWORD]}\n\tCOMPREPLY=()\n\tif [ \"$COMP_CWORD\" -eq 1 ]; then\n"+
		"\t\tCOMPREPLY=($(compgen -W %q -- \"$word\"))\n\t\treturn\n\tfi\n\tcase \"${COMP_WORDS[1]} $word\" in\n", strings.Join(names, " "))
	fmt.Fprintf(&b, "\thelp\\ *) COMPREPLY=($(compgen -W %q -- \"$word\")) ;;\n", strings.Join(names[1:], " "))
	b.WriteString("\tcompletion\\ *) COMPREPLY=($(compgen -W \"bash zsh fish\" -- \"$word\")) ;;\n")
	for _, c := range commands() {
		if flags := c.flagNames(); len(flags) > 0 {
			fmt.Fprintf(&b, "\t%s\\ -*) COMPREPLY=($(compgen -W %q -- \"$word\")) ;;\n", c.name, strings.Join(flags, " "))
		}
	}
	b.WriteString("\tesac\n}\ncomplete -o default -F _millrace millrace\n")
	return b.String()
}

// zshCompletion has zsh run bash's.
func zshCompletion() string {
	return "autoload -U +X bashcompinit && bashcompinit\n" + bashCompletion()
}

func fishCompletion() string {
	var b strings.Builder
	for _, c := range commands() {
		fmt.Fprintf(&b, "complete -c millrace -n __fish_use_subcommand -f -a %s -d '%s'\n", c.name, c.line)
		for _, f := range c.flagNames() {
			fmt.Fprintf(&b, "complete -c millrace -n '__fish_seen_subcommand_from %s' -o %s\n", c.name, strings.TrimPrefix(f, "-"))
		}
	}
	b.WriteString("complete -c millrace -n '__fish_seen_subcommand_from completion' -f -a 'bash zsh fish'\n")
	return b.String()
}
