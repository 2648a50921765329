/**
 * A bound on how deep a policy nests. Cedar's parser, validator and evaluator recurse, on a stack of one mebibyte
 * inside WebAssembly: some 90 nested records, 130 nested parentheses or 250 additions in one expression exhaust it
 * and break the engine for the whole process (measured with cedar-wasm 4.13). Text is therefore measured before Cedar
 * sees it, by its tokens only, and always on the high side.
 */
import { PolicyError } from './errors.ts';
import { positionOf } from './position.ts';

/** Of nested brackets, `if`s, accesses and arithmetic along one path. */
export const MAX_NESTING = 32;
/** Of `&&` and `||` in one policy. */
export const MAX_CONNECTIVES = 512;

const TOKEN =
  /"[^"\\]*(?:\\[\s\S][^"\\]*)*"|\/\/[^\r\n]*|[A-Za-z_][A-Za-z0-9_]*|[0-9]+|&&|\|\||==|!=|<=|>=|::|\s+|[\s\S]/g;

/** Throws `policy_too_large` where an expression nests deeper, or a policy joins more conditions, than allowed. */
export function checkNesting(text: string): void {
  // One entry per open bracket: the depth outside it, and what its own expression adds.
  let level = { outside: 0, ifs: 0, chain: 0 };
  const enclosing: (typeof level)[] = [];
  let connectives = 0;
  for (const { 0: token, index } of text.matchAll(TOKEN)) {
    switch (token) {
      case '(':
      case '[':
      case '{':
        level.chain += 1;
        enclosing.push(level);
        level = { outside: level.outside + level.ifs + level.chain, ifs: 0, chain: 0 };
        break;
      case ')':
      case ']':
      case '}':
        level = enclosing.pop() ?? { outside: 0, ifs: 0, chain: 0 };
        break;
      case ';':
        connectives = 0;
        level.ifs = 0;
        level.chain = 0;
        break;
      case ',':
        level.ifs = 0;
        level.chain = 0;
        break;
      case '&&':
      case '||':
        connectives += 1;
        level.chain = 0;
        break;
      case 'then':
      case 'else':
      case 'when':
      case 'unless':
        level.chain = 0;
        break;
      case 'if':
        level.ifs += 1;
        break;
      case '.':
      case '+':
      case '-':
      case '*':
      case '!':
      case '<':
      case '>':
      case '<=':
      case '>=':
      case '==':
      case '!=':
      case 'has':
      case 'like':
      case 'in':
      case 'is':
        level.chain += 1;
        break;
      default:
        break;
    }
    if (level.outside + level.ifs + level.chain > MAX_NESTING) {
      throw tooDeep(text, index, `an expression nests deeper than ${MAX_NESTING} levels`);
    }
    if (connectives > MAX_CONNECTIVES) {
      throw tooDeep(text, index, `a policy has more than ${MAX_CONNECTIVES} "&&" and "||"`);
    }
  }
}

const tooDeep = (text: string, index: number, message: string): PolicyError =>
  new PolicyError('policy_too_large', [{ message, path: '/cedar', ...positionOf(text, index) }]);

/** The text with each comment blanked out, every offset unchanged. */
export const blankComments = (text: string): string =>
  text.replace(TOKEN, (token) => (token.startsWith('//') ? ' '.repeat(token.length) : token));
