import { site } from '../../../lib/auth.js'

export const { GET, POST } = site.routes
