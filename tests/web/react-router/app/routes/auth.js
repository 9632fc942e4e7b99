import { site } from '../site.server'

export const loader = site.page
export const action = site.page
