export const load = ({ locals }) => ({ acr: locals.user.acr })
