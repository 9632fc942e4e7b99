// A process that switches to another user, calls one store operation, and sends back the result.
import { core } from './helper.mjs'

const { user, groups, kind, place, access, verb, args } = JSON.parse(process.argv[2])
if (process.getuid() === 0) {
  process.setgroups(groups)
  process.setgid(user)
  process.setuid(user)
}
try {
  const store = new core[kind](place, { access })
  process.send({ said: (await store[verb](...args)) ?? null })
} catch (error) {
  process.send({ code: error.code, message: error.message })
}
process.disconnect()
