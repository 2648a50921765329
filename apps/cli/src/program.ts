/**
 * The command tree. Each action loads its own module, so that a command pays for what it uses and no more.
 */
import { Command, CommanderError } from 'commander';
import type { Globals, Session } from './session.ts';
import { EXIT, failureOf } from './terminal/exit.ts';
import type { Output } from './terminal/output.ts';
import { outputTo } from './terminal/output.ts';

const EXIT_CODES = `
Exit codes: 0 done, 1 unexpected, 2 wrong usage, 3 refused (policy, TTL, revocation), 4 not authenticated,
            5 not found, 6 something does not verify, 7 not available, 8 changed meanwhile, 130 interrupted`;

const many = (value: string, before: readonly string[] = []): readonly string[] => [...before, value];

function globalsOf(command: Command): Globals {
  const { json, profile }: { json?: boolean; profile?: string } = command.optsWithGlobals();
  return { json: json === true, profile };
}

/** An action that needs no profile. */
function plain(
  action: (globals: Globals, output: Output, ...args: readonly string[]) => Promise<void> | void,
) {
  return async function (this: Command, ...given: unknown[]): Promise<void> {
    const globals = globalsOf(this);
    const args = given.filter((arg): arg is string => typeof arg === 'string');
    await action(globals, outputTo(globals.json), ...args);
  };
}

/** An action with an unlocked profile and a client; closed whatever happens. */
function signedIn(
  action: (session: Session, command: Command, ...args: readonly unknown[]) => Promise<void>,
) {
  return async function (this: Command): Promise<void> {
    const globals = globalsOf(this);
    const { openSession } = await import('./session.ts');
    const session = await openSession(globals, outputTo(globals.json));
    try {
      await action(session, this, ...this.processedArgs);
    } finally {
      session.close();
    }
  };
}

const text = (value: unknown): string => String(value ?? '');
const texts = (value: unknown): readonly string[] => (Array.isArray(value) ? value.map(text) : []);

export function buildProgram(): Command {
  const program = new Command('astis')
    .description(
      'Cryptographic control over data: seal, keep the keys apart, release under policy and TTL, prove it.',
    )
    .option('--json', 'machine-readable results on stdout')
    .option('--profile <name>', 'profile by name or path (also ASTIS_PROFILE)')
    .version('0.1.0')
    .showHelpAfterError('(astis --help shows what there is)')
    .addHelpText('after', EXIT_CODES)
    .exitOverride();

  program
    .command('seal')
    .description('seal a file to people; only they can open it, while policy and TTL allow')
    .argument('<file>', 'file, or - for stdin')
    .requiredOption('-t, --to <address>', 'recipient; repeat or separate by commas', many)
    .option('--ttl <duration>', "how long it can be opened: 90s, 15m, 2h, 7d (default: the policy's)")
    .option('-l, --label <label>', 'label that policies can use; repeat for more', many)
    .option('-o, --output <file>', 'where to (default: FILE.astis; - for stdout)')
    .option('-f, --force', 'overwrite the output')
    .option('--no-me', 'do not seal to yourself too')
    .option('--recovery', "seal to the organisation's own key too, where policy allows recovery")
    .option('--accept-new-key <address>', "take this recipient's changed key, having asked them", many)
    .addHelpText('after', '\nExample: astis seal report.pdf --to bob@demo.test --ttl 2h --label legal')
    .action(
      signedIn(async (session, command, file) =>
        (await import('./commands/seal.ts')).seal(session, text(file), command.opts()),
      ),
    );

  program
    .command('open')
    .description('ask for the release of a sealed file and decrypt it here')
    .argument('<file>', 'sealed file, or - for stdin')
    .option('-o, --output <file>', 'where to (default: the name without .astis; - for stdout)')
    .option('-f, --force', 'overwrite the output')
    .addHelpText('after', '\nExample: astis open report.pdf.astis -o - | less')
    .action(
      signedIn(async (session, command, file) =>
        (await import('./commands/open.ts')).open(session, text(file), command.opts()),
      ),
    );

  const capsule = program.command('capsule').description('what was sealed, who opened it, and ending it');
  const artifactArgument = ['<artifact>', 'sealed file, or id of the artifact'] as const;
  const toSome = (command: Command): Command =>
    command.option('-t, --to <address>', 'this recipient alone; repeat for more', many);
  capsule
    .command('list')
    .description('artifacts, newest first')
    .option('--limit <n>', 'how many', '100')
    .action(
      signedIn(async (session, command) =>
        (await import('./commands/capsule.ts')).list(session, command.opts()),
      ),
    );
  capsule
    .command('show')
    .description('an artifact and its capsules')
    .argument(...artifactArgument)
    .action(
      signedIn(async (session, _command, artifact) =>
        (await import('./commands/capsule.ts')).show(session, text(artifact)),
      ),
    );
  toSome(
    capsule
      .command('revoke')
      .description('end release for good')
      .argument(...artifactArgument),
  )
    .option('--reason <text>', 'for the log')
    .action(
      signedIn(async (session, command, artifact) =>
        (await import('./commands/capsule.ts')).revoke(session, text(artifact), command.opts()),
      ),
    );
  for (const [name, description] of [
    ['extend', 'let it be opened for longer; past the sealed limit only the sealer can'],
    ['shorten', 'let it be opened for a shorter time'],
  ] as const) {
    toSome(
      capsule
        .command(name)
        .description(description)
        .argument(...artifactArgument),
    )
      .argument('<until>', 'a duration from now (2h) or a time (2027-01-31T12:00:00Z)')
      .action(
        signedIn(async (session, command, artifact, until) =>
          (await import('./commands/capsule.ts')).setEnd(
            session,
            name,
            text(artifact),
            text(until),
            command.opts(),
          ),
        ),
      );
  }

  const policy = program.command('policy').description("the organisation's policy (docs/policy.md)");
  policy
    .command('get')
    .description('the document in force')
    .action(signedIn(async (session) => (await import('./commands/policy.ts')).get(session)));
  policy
    .command('set')
    .description('put a document in force')
    .argument('<file>', 'JSON, or - for stdin')
    .action(
      signedIn(async (session, _command, file) =>
        (await import('./commands/policy.ts')).set(session, text(file)),
      ),
    );
  policy
    .command('diff')
    .description('what a document would change')
    .argument('<file>', 'JSON, or - for stdin')
    .action(
      signedIn(async (session, _command, file) =>
        (await import('./commands/policy.ts')).diff(session, text(file)),
      ),
    );
  policy
    .command('history')
    .description('all versions')
    .action(signedIn(async (session) => (await import('./commands/policy.ts')).history(session)));
  policy
    .command('check')
    .description('who could open an artifact, and why not')
    .argument(...artifactArgument)
    .option('--policy <file>', 'a draft instead of the policy in force')
    .option('--at <moment>', 'at another time: 2h, or 2027-01-31T12:00:00Z')
    .option('--ip <address>', 'from another network address')
    .action(
      signedIn(async (session, command, artifact) =>
        (await import('./commands/policy.ts')).check(session, text(artifact), command.opts()),
      ),
    );

  const approval = program.command('approval').description("the second person's say");
  approval
    .command('list')
    .description('what waits')
    .option('--all', 'what was decided too')
    .action(
      signedIn(async (session, command) =>
        (await import('./commands/policy.ts')).approvals(session, command.opts()),
      ),
    );
  for (const decision of ['approve', 'deny'] as const) {
    approval
      .command(decision)
      .description(`${decision} what somebody else asked for`)
      .argument('<id>')
      .action(
        signedIn(async (session, _command, id) =>
          (await import('./commands/policy.ts')).decide(session, text(id), decision),
        ),
      );
  }

  const audit = program.command('audit').description('the log, and its verification');
  audit
    .command('list')
    .description('entries, newest first')
    .option('--limit <n>', 'how many', '50')
    .option('--kind <kind>', 'such as release.denied')
    .option('--actor <address>', 'who did it')
    .option('--subject <subject>', 'artifact id or address that it is about')
    .action(
      signedIn(async (session, command) =>
        (await import('./commands/audit.ts')).list(session, command.opts()),
      ),
    );
  audit
    .command('export')
    .description('the whole log as JSON Lines')
    .option('-o, --output <file>', 'where to (default: stdout)')
    .option('-f, --force', 'overwrite the output')
    .action(
      signedIn(async (session, command) =>
        (await import('./commands/audit.ts')).exportLog(session, command.opts()),
      ),
    );
  audit
    .command('checkpoint')
    .description('a signed checkpoint of the log as it is now; keep it elsewhere')
    .option('-o, --output <file>', 'where to (default: stdout)')
    .option('-f, --force', 'overwrite the output')
    .action(
      signedIn(async (session, command) =>
        (await import('./commands/audit.ts')).checkpoint(session, command.opts()),
      ),
    );
  audit
    .command('verify')
    .description('verify an export offline, with the keys that were pinned')
    .argument('<file>', 'export, or - for stdin')
    .option('--receipts <file>', "release receipts, JSON Lines (default: the profile's own)")
    .option('--checkpoint <file>', 'a checkpoint that was kept; repeat for more', many)
    .option('--checkpoint-key <key>', 'verifier key of checkpoints, instead of a profile', many)
    .option('--receipt-key <key>', 'verifier key of receipts, with --checkpoint-key', many)
    .option('--tenant <id>', 'organisation that the log must be of, with --checkpoint-key')
    .option('--origin <origin>', 'origin line that the log must have, with --checkpoint-key')
    .addHelpText(
      'after',
      '\nExample: astis audit verify log.jsonl --checkpoint kept.note\nOf a truncated log only a later checkpoint or a receipt tells.',
    )
    .action(async function (this: Command, file: string) {
      const globals = globalsOf(this);
      await (await import('./commands/audit.ts')).verify(globals, outputTo(globals.json), file, this.opts());
    });

  program
    .command('enrol')
    .description('register with an enrolment code; makes your keys here')
    .argument('<code>', 'the code, or - for stdin')
    .option('--ca <file>', "PEM of the gateway's CA, where it is not a public one")
    .option('--no-passphrase', 'do not ask for a passphrase; the keys are kept plain, for your user alone')
    .addHelpText(
      'after',
      '\nExample: astis enrol - < code.txt        (a code in an argument stays in the shell history)',
    )
    .action(async function (this: Command, code: string) {
      const globals = globalsOf(this);
      await (await import('./commands/people.ts')).enrol(globals, outputTo(globals.json), code, this.opts());
    });
  program
    .command('whoami')
    .description('the profile in use')
    .action(plain(async (globals, output) => (await import('./commands/people.ts')).whoami(globals, output)));
  const profile = program.command('profile').description('whose keys are on this computer');
  profile
    .command('list')
    .description('all profiles; * is the one in use')
    .action(
      plain(async (globals, output) => (await import('./commands/people.ts')).profiles(globals, output)),
    );
  profile
    .command('use')
    .description('use this profile where nothing else is said')
    .argument('<name>', 'name or path')
    .action(
      plain(async (_globals, output, name) =>
        (await import('./commands/people.ts')).useProfile(output, name ?? ''),
      ),
    );

  const people = program.command('people').description('people and service clients');
  people
    .command('list')
    .description('everybody')
    .action(signedIn(async (session) => (await import('./commands/people.ts')).list(session)));
  people
    .command('invite')
    .description('invite an address; prints a code to hand over')
    .argument('<address>')
    .option('--service', 'a program, not a person')
    .option('--admin', 'an administrator')
    .option('--hardware', 'you vouch that the keys are held in hardware')
    .option('-g, --group <group>', 'group; repeat for more', many)
    .option('--valid <duration>', 'how long the code is good', '7d')
    .action(
      signedIn(async (session, command, who) =>
        (await import('./commands/people.ts')).invite(session, text(who), command.opts()),
      ),
    );
  people
    .command('remove')
    .description('remove somebody; nothing is released to the key any more')
    .argument('<address>')
    .action(
      signedIn(async (session, _command, who) =>
        (await import('./commands/people.ts')).remove(session, text(who)),
      ),
    );
  people
    .command('groups')
    .description("set somebody's groups")
    .argument('<address>')
    .argument('[group...]')
    .action(
      signedIn(async (session, _command, who, names) =>
        (await import('./commands/people.ts')).groups(session, text(who), texts(names)),
      ),
    );

  const domain = program.command('domain').description("domains whose addresses are the organisation's");
  domain
    .command('list')
    .description('domains')
    .action(signedIn(async (session) => (await import('./commands/people.ts')).domains(session)));
  domain
    .command('add')
    .description('add a domain; prints the DNS record that proves it')
    .argument('<domain>')
    .action(
      signedIn(async (session, _command, name) =>
        (await import('./commands/people.ts')).addDomain(session, text(name)),
      ),
    );
  domain
    .command('verify')
    .description('look the DNS record up')
    .argument('<domain>')
    .action(
      signedIn(async (session, _command, name) =>
        (await import('./commands/people.ts')).verifyDomain(session, text(name)),
      ),
    );

  const organisation = program.command('organisation').description("the organisation's own key");
  organisation
    .command('rotate')
    .description('make a new key and rewrap what was sealed to the old one')
    .option('--wait', 'wait until it is done')
    .action(
      signedIn(async (session, command) =>
        (await import('./commands/organisation.ts')).rotate(session, command.opts()),
      ),
    );
  organisation
    .command('status')
    .description('rotations and how far they are')
    .action(signedIn(async (session) => (await import('./commands/organisation.ts')).status(session)));
  organisation
    .command('recover')
    .description('open what was sealed to the organisation, where policy allows it')
    .argument('<file>', 'sealed file')
    .option('-o, --output <file>', 'where to (default: the name without .astis; - for stdout)')
    .option('-f, --force', 'overwrite the output')
    .action(
      signedIn(async (session, command, file) =>
        (await import('./commands/open.ts')).recover(session, text(file), command.opts()),
      ),
    );

  program
    .command('tenant')
    .description('for whoever runs the platform')
    .command('create')
    .description("make an organisation; prints its first admin's code")
    .argument('<name>')
    .requiredOption('--gateway <url>', 'https URL of the gateway')
    .requiredOption('--operator-key <file>', "the operator's private key")
    .requiredOption('--domain <domain>', 'its first domain, which you vouch for')
    .requiredOption('--admin <address>', 'its first admin')
    .option('--ca <file>', "PEM of the gateway's CA")
    .action(async function (this: Command, name: string) {
      await (await import('./commands/people.ts')).makeTenant(
        outputTo(globalsOf(this).json),
        name,
        this.opts(),
      );
    });

  program
    .command('dev')
    .description('run a whole ASTIS on this computer, with three people to try it')
    .option('--reset', 'throw away what an earlier run left')
    .action(async function (this: Command) {
      await (await import('./dev/dev.ts')).dev(this.opts());
    });

  program
    .command('completion')
    .description('completion script; for bash: eval "$(astis completion bash)"')
    .addArgument(program.createArgument('<shell>').choices(['bash', 'zsh', 'fish']))
    .action(async (shell: string) => {
      process.stdout.write((await import('./terminal/completion.ts')).completionScript(program, shell));
    });
  for (const command of program.commands) command.exitOverride();
  return program;
}

/** Runs one command line; the result is the exit code. */
export async function run(argv: readonly string[]): Promise<number> {
  const wantsJson = argv.includes('--json');
  try {
    await buildProgram().parseAsync([...argv]);
    return EXIT.ok;
  } catch (error) {
    // Commander has said it already.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.ok : EXIT.usage;
    // Whoever read our output has seen enough, as `head` has; that is no failure to talk about.
    if (error instanceof Error && 'code' in error && error.code === 'EPIPE') return EXIT.pipeClosed;
    const { exit, code, message, details } = failureOf(error);
    if (wantsJson) process.stderr.write(`${JSON.stringify({ error: code, message, details })}\n`);
    else process.stderr.write(`astis: ${message}\n${details.map((line) => `  ${line}\n`).join('')}`);
    return exit;
  }
}
