export const load = ({ locals }) => ({ name: locals.user?.name ?? 'stranger', subject: locals.user?.subject })
