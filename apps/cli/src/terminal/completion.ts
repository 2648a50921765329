/** Completion scripts, made from the command tree: commands, subcommands and options; files otherwise. */
import type { Command } from 'commander';

interface Node {
  /** `astis`, `astis capsule`, … */
  readonly path: string;
  readonly words: readonly string[];
}

function nodes(command: Command, path: string): readonly Node[] {
  const options = [...command.options, ...(command.parent === null ? [] : (command.parent.options ?? []))];
  const words = [
    ...command.commands.map((child) => child.name()),
    ...options.flatMap(({ long }) => long ?? []),
    '--help',
  ];
  return [
    { path, words: [...new Set(words)] },
    ...command.commands.flatMap((child) => nodes(child, `${path} ${child.name()}`)),
  ];
}

/** Shell code that sets `path` to the deepest command in the words so far, and its completions by `path`. */
function bash(tree: readonly Node[]): string {
  const cases = tree.map(({ path, words }) => `    "${path}") words="${words.join(' ')}" ;;`).join('\n');
  const paths = tree.map(({ path }) => `"${path}"`).join('|');
  return `_astis() {
  local current="\${COMP_WORDS[COMP_CWORD]}" path=astis word words=""
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    case "$path $word" in ${paths}) path="$path $word" ;; esac
  done
  case "$path" in
${cases}
  esac
  COMPREPLY=($(compgen -W "$words" -- "$current"))
}
complete -o default -F _astis astis
`;
}

function fish(tree: readonly Node[]): string {
  const lines = tree.flatMap(({ path, words }) => {
    const depth = path.split(' ').slice(1);
    const condition =
      depth.length === 0
        ? '__fish_use_subcommand'
        : depth.map((word) => `__fish_seen_subcommand_from ${word}`).join('; and ');
    return words.map((word) =>
      word.startsWith('--')
        ? `complete -c astis -n '${condition}' -l ${word.slice(2)}`
        : `complete -c astis -n '${condition}' -a ${word}`,
    );
  });
  return `${lines.join('\n')}\n`;
}

export function completionScript(program: Command, shell: string): string {
  const tree = nodes(program, 'astis');
  if (shell === 'fish') return fish(tree);
  return shell === 'zsh' ? `autoload -U +X bashcompinit && bashcompinit\n${bash(tree)}` : bash(tree);
}
