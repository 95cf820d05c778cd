//! Registrations of brokers that are not there any more.

use super::{Controller, Refusal};
use kafka_protocol::ResponseError;
use milena_protocol::stored::metadata::UnregisterBrokerRecord;

impl Controller {
    /// Forgets a broker (`ClusterControlManager.unregisterBroker`).
    pub(crate) fn unregister_broker(&self, broker_id: i32) -> Result<(), Refusal> {
        if broker_id == self.node_id {
            let message = format!("Broker ID {broker_id} is this broker, and it is in service");
            return Err(Refusal::new(ResponseError::InvalidRequest, message));
        }
        let mut writer = self.writer.lock();
        let mut draft = self.draft(&writer)?;
        let Some(broker_epoch) = draft.image().registration(broker_id).map(|broker| broker.broker_epoch)
        else {
            let message = format!("Broker ID {broker_id} is not currently registered");
            return Err(Refusal::new(ResponseError::BrokerIdNotRegistered, message));
        };
        draft.add(vec![UnregisterBrokerRecord { broker_id, broker_epoch, ..Default::default() }.into()])?;
        self.commit(&mut writer, draft)
    }
}

#[cfg(test)]
mod tests {
    use crate::controller::testing::Bench;
    use milena_protocol::stored::metadata::RegisterBrokerRecord;

    #[test]
    fn only_others_are_forgotten() {
        let bench = Bench::new();
        let mut writer = bench.controller.writer.lock();
        let mut draft = bench.controller.draft(&writer).unwrap();
        let record = |broker_id| RegisterBrokerRecord { broker_id, ..RegisterBrokerRecord::default() };
        draft.add(vec![record(1).into(), record(2).into()]).unwrap();
        bench.controller.commit(&mut writer, draft).unwrap();
        drop(writer);
        let code = |id| bench.controller.unregister_broker(id).map_or_else(|refusal| refusal.code(), |()| 0);
        assert_eq!([code(3), code(1), code(2), code(2)], [102, 42, 0, 102]);
        assert!(bench.restart().controller.image().registration(2).is_none());
        assert!(bench.restart().controller.image().registration(1).is_some());
    }
}
