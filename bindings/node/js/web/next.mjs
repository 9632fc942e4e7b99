// One implementation for both module systems: an error caught here is an instance there.
import web from './next.cjs'

export const { Refuse, Site, User } = web
