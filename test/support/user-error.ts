// What tests expect of a fault of the user.
import { UserError } from '../../src/util/errors.js';

/** For assert.rejects and assert.throws: a UserError with this code, whose message matches. */
export function userError(code: string, message: RegExp = /./): (error: unknown) => boolean {
  return (error) => error instanceof UserError && error.code === code && message.test(error.message);
}
