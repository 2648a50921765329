export * from './profile.ts';
export * from './transport.ts';
